"""All Deployments are restarted at once under load from a Job in the cluster, and no call is lost."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.e2e_cluster import Cluster, Object, eventually, program_pod
from tests.support.e2e_release import CLIENT_LABEL, STORE_NODE, Bookmill
from tests.support.e2e_runs import Run

CALLS = 1000


@pytest.fixture
def load(bookmill: Bookmill, chain: Run) -> Iterator[str]:
    """A Job that calls every service; its name."""
    del chain
    text = bookmill.response("ingest", "IngestService/FetchBook", {"book": {"uri": "gutenberg:900001"}})["text"]
    clean = bookmill.response("clean", "CleanService/CleanBook", {"text": text})["text"]
    requests = [
        [_address(bookmill, "gateway-pods"), "RunService/ListRuns", {"page_size": 1}],
        [_address(bookmill, "ingest"), "IngestService/FetchBook", {"book": {"uri": "gutenberg:900001"}}],
        [_address(bookmill, "clean"), "CleanService/CleanBook", {"text": text}],
        [_address(bookmill, "chunk"), "ChunkService/ChunkBook", {"text": clean, "max_characters": 2000}],
        [_address(bookmill, "train"), "TrainService/ListTrainingJobs", {"page_size": 1}],
        [_address(bookmill, "export"), "ExportService/ListExportJobs", {"page_size": 1}],
    ]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load"}}
    bookmill.cluster.apply({**settings, "data": {"requests.json": json.dumps(requests)}})
    bookmill.cluster.delete("job", "load")
    bookmill.cluster.create(_job(bookmill.cluster))
    yield "load"
    bookmill.cluster.delete("job", "load")
    bookmill.cluster.delete("configmap", "load")


def test_no_call_of_a_thousand_fails(bookmill: Bookmill, load: str) -> None:
    cluster = bookmill.cluster
    release = f"--selector=app.kubernetes.io/instance={cluster.settings.release}"
    eventually(lambda: _told(cluster, load), lambda line: line.get("calls", 0) >= 50, 120, "first calls")
    restarts = 0
    while _told(cluster, load)["calls"] < CALLS:
        before = {pod["metadata"]["name"] for pod in _pods(bookmill)}
        cluster.kubectl("rollout", "restart", "deployment", release)
        cluster.rolled_out()
        assert not before & {pod["metadata"]["name"] for pod in _pods(bookmill)}, "a pod was not replaced"
        restarts += 1
    (pod,) = cluster.pods_of_job(load)
    cluster.run_in(pod["metadata"]["name"], "touch", "/tmp/stop")
    cluster.kubectl("wait", f"job/{load}", "--for=condition=Complete", "--timeout=300s", timeout=330)
    told = _told(cluster, load)
    bookmill.measured["restarts under load"] = restarts
    bookmill.measured["calls meanwhile"] = told["calls"]
    bookmill.measured["slowest call, seconds"] = told["slowest_seconds"]
    assert told["calls"] >= CALLS
    assert told["failed"] == 0, told["how"]


def _pods(bookmill: Bookmill) -> list[Object]:
    found = [
        pod
        for name in ("ingest", "clean", "chunk", "train", "export", "gateway")
        for pod in bookmill.cluster.pods(name)
    ]
    assert len(found) >= 6
    return found


def _told(cluster: Cluster, job: str) -> dict[str, Any]:
    pods = cluster.pods_of_job(job)
    if not pods or pods[-1]["status"].get("phase") == "Pending":
        return {}
    lines = cluster.kubectl("logs", pods[-1]["metadata"]["name"], "--tail=1").splitlines()
    return dict(json.loads(lines[-1])) if lines and lines[-1].startswith("{") else {}


def _address(bookmill: Bookmill, service: str) -> str:
    return f"dns:///{bookmill.name(service)}:50051"


def _job(cluster: Cluster) -> Object:
    volumes = [
        ("/etc/bookmill/token", {"secret": {"secretName": f"{cluster.settings.release}-token"}}),
        ("/etc/load", {"configMap": {"name": "load"}}),
    ]
    pod = program_pod(
        cluster.settings,
        "load",
        ["programs.load", "/etc/load/requests.json"],
        CLIENT_LABEL,
        volumes=volumes,
        node=STORE_NODE,
    )
    template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": {**pod["spec"], "restartPolicy": "Never"}}
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": 900, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"}, "spec": spec}
