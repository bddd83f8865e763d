"""The README's commands for a cluster, run as they stand; only names, ports and sizes are those of this cluster."""

import os
import re
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from deploy.kind import cluster as kind
from deploy.kind import release
from deploy.kind.settings import ROOT
from services.cli.ports import free_ports
from tests.support.chain import SIZES
from tests.support.e2e_cluster import eventually
from tests.support.e2e_release import VALUES, Bookmill
from tests.support.e2e_runs import Run

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_SCRIPTS = sysconfig.get_path("scripts")


@pytest.fixture
def environment(bookmill: Bookmill, tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose kubectl is set to this cluster, and who has Bookmill's tools."""
    config = tmp_path / "kubeconfig"
    config.write_text(kind.run(("kind", "get", "kubeconfig", f"--name={bookmill.cluster.settings.cluster}")))
    return {**os.environ, "KUBECONFIG": str(config), "PATH": f"{_SCRIPTS}:{os.environ['PATH']}"}


def test_each_way_to_a_run(bookmill: Bookmill, chain: Run, environment: dict[str, str], tmp_path: Path) -> None:
    name, manifest = _manifest(bookmill, chain, tmp_path)
    http, grpc = free_ports(2)
    script = _recipe(
        "training-job.yaml",
        {
            " 8080 50051 &": f" {http}:8080 {grpc}:50051 & trap 'kill $!' EXIT; {_wait(http)}",
            "127.0.0.1:8080": f"127.0.0.1:{http}",
            "127.0.0.1:50051": f"127.0.0.1:{grpc}",
            "--base-model llama-3.1-8b": f"--base-model {bookmill.model} {' '.join(SIZES)}",
            "hf:ORG/NAME": bookmill.model,
            "--output horror": f"--output {tmp_path / 'horror'}",
            "deploy/examples/training-job.yaml": str(manifest),
        },
    )
    told = _bash(script, environment)
    assert (tmp_path / "horror" / "Modelfile").is_file()
    # Of the answer to grpcurl.
    created = re.search(r'"name": "(runs/[^"]+)"', told)
    assert created, told
    bookmill.gateway.cancel(created[1])
    assert name in told
    done = eventually(
        lambda: bookmill.training(f"trainingJobs/{name}"),
        lambda job: job["state"] not in {"STATE_PENDING", "STATE_RUNNING"},
        300,
        "end of the training by hand",
    )
    assert done["state"] == "STATE_SUCCEEDED", done


def test_buf_curl_speaks_the_same(bookmill: Bookmill, environment: dict[str, str]) -> None:
    address = release.address(bookmill.cluster.settings, 30051)
    header = f"authorization: Bearer {bookmill.gateway.token}"
    buf = f"buf curl --protocol grpc --http2-prior-knowledge -H '{header}' --reflect-header '{header}'"
    told = _bash(f"{buf} http://{address}/bookmill.v1.RunService/ListRuns -d '{{}}'", environment)
    assert '"runs"' in told


def test_helm_test_makes_a_small_run(bookmill: Bookmill) -> None:
    cluster = bookmill.cluster
    small = [f"--set=helmTest.baseModel={bookmill.model}", "--set=helmTest.topic=horror"]
    release.install(cluster.settings, (VALUES,), small)
    told = release.helm(cluster.settings, "test", cluster.settings.release, "--timeout=300s")
    assert re.search(r"Phase:\s+Succeeded", told), told


def _recipe(word: str, changes: dict[str, str]) -> str:
    """Gives the block of the README that has a word in it, with what is this cluster's own put in."""
    found = [block for block in _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if word in block]
    assert len(found) == 1, found
    script = str(found[0])
    for before, after in changes.items():
        assert before in script, f"the README says {before!r} no more"
        script = script.replace(before, after)
    return script


def _manifest(bookmill: Bookmill, chain: Run, folder: Path) -> tuple[str, Path]:
    """Writes down the manifest of a training, as the example says; gives the Job's name too."""
    job = bookmill.manifest(bookmill.training_spec(chain, seed=301, max_steps=4))
    path = folder / "training-job.yaml"
    path.write_text(yaml.safe_dump(job))
    return job["metadata"]["name"], path


def _wait(port: int) -> str:
    # A user types slower than a port-forward opens.
    return f"until curl -sf http://127.0.0.1:{port}/healthz >/dev/null; do sleep 0.2; done"


def _bash(script: str, environment: dict[str, str]) -> str:
    """Runs a script with what it started in the background, and gives what it wrote."""
    command = ("bash", "-euo", "pipefail", "-c", script)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=420)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, told
    return str(told)
