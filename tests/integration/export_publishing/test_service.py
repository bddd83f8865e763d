"""The export service as it runs: a real export of a tiny model, published over gRPC to a Hub and to a real Ollama."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from bookmill.v1 import export_pb2, export_pb2_grpc, object_pb2
from services.cli.ports import free_ports
from services.common.canonical import canonical_json
from services.common.clients import from_status
from services.common.settings import StoreSettings
from services.common.storage import Store
from tests.support.export_inputs import tiny_inputs
from tests.support.finished import BOOKS
from tests.support.hub import WRITE_TOKEN, HubDouble

pytestmark = pytest.mark.slow
REAL_OLLAMA = shutil.which("ollama")


@dataclass
class Place:
    """A running export service, a Hub, the port for an Ollama, and an export that succeeded."""

    stub: Any
    hub: HubDouble
    store: Store
    ollama: str
    job: export_pb2.ExportJob
    token: Path


@pytest.fixture(scope="module")
def place(s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("publishing")
    environment = s3 | {"BOOKMILL_STORE_BUCKET": "publishing-service"}
    store = Store(
        StoreSettings(
            endpoint=environment["BOOKMILL_STORE_ENDPOINT"],
            bucket=environment["BOOKMILL_STORE_BUCKET"],
            access_key_file=Path(environment["BOOKMILL_STORE_ACCESS_KEY_FILE"]),
            secret_key_file=Path(environment["BOOKMILL_STORE_SECRET_KEY_FILE"]),
        )
    )
    store.ensure_bucket()
    port, ollama_port = free_ports(2)
    token = folder / "token"
    token.write_text(WRITE_TOKEN)
    ollama = f"http://127.0.0.1:{ollama_port}"
    with HubDouble() as hub:
        settings = {
            "BOOKMILL_PORT": str(port),
            "BOOKMILL_PUBLISH_HUB_ENDPOINT": hub.url,
            "BOOKMILL_PUBLISH_HUB_TOKEN_FILE": str(token),
            "BOOKMILL_PUBLISH_OLLAMA_ADDRESS": ollama,
            "BOOKMILL_PUBLISH_BACKOFF_SECONDS": "0.05",
            "BOOKMILL_EXPORT_WORK_DIR": str(folder / "work"),
        }
        log = folder / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.export"], env=os.environ | environment | settings, stderr=written
            )
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=60)
                stub = export_pb2_grpc.ExportServiceStub(channel)
                job = export(stub, tiny_inputs(folder / "inputs").spec(store))
                yield Place(stub, hub, store, ollama, job, token)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            store._client.remove_bucket(bucket_name=environment["BOOKMILL_STORE_BUCKET"])
        assert WRITE_TOKEN not in log.read_text()


def export(stub: Any, spec: export_pb2.ExportSpec) -> export_pb2.ExportJob:
    name = stub.CreateExportJob(export_pb2.CreateExportJobRequest(spec=spec), timeout=60).name
    *_, job = stub.WatchExportJob(export_pb2.WatchExportJobRequest(name=name), timeout=240)
    assert job.state == object_pb2.STATE_SUCCEEDED, job
    return job


def provenance(store: Store) -> export_pb2.Provenance:
    books = store.put_bytes("manifests", canonical_json(BOOKS), ".json").to_proto()
    return export_pb2.Provenance(books=books, topic="tales", base_model="file:tiny", base_licence="apache-2.0")


def test_a_real_export_is_published(place: Place) -> None:
    request = export_pb2.PublishModelRequest(
        export_job=place.job.name, repository="me/tale", provenance=provenance(place.store), include_merged=True
    )
    response = place.stub.PublishModel(request, timeout=120)
    files = place.hub.files("me/tale")
    assert {f.path for f in response.files} == set(files) - {".gitattributes"}
    assert files["tale.q4_k_m.gguf"].startswith(b"GGUF")
    assert b"FROM ./tale.q4_k_m.gguf" in files["Modelfile"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    for figure in place.job.result.perplexities:
        assert f"{figure.value:.4f}" in response.card
    assert place.stub.PublishModel(request, timeout=120) == response
    assert len(place.hub.commits("me/tale")) == 2


def test_its_dataset_is_published(place: Place) -> None:
    request = export_pb2.PublishDatasetRequest(
        dataset=place.job.spec.dataset, repository="me/tales", provenance=provenance(place.store)
    )
    response = place.stub.PublishDataset(request, timeout=120)
    assert place.hub.files("me/tales", "dataset")["train.parquet"][:4] == b"PAR1"
    assert response.commit == place.hub.commits("me/tales", "dataset")[-1].oid


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        (
            "PublishModel",
            {"export_job": "exportJobs/none", "repository": "me/x"},
            "FAILED_PRECONDITION",
            "NOT_VERIFIED",
        ),
        ("PublishModel", {"repository": "x"}, "INVALID_ARGUMENT", "BAD_REPOSITORY"),
        ("PublishModel", {"repository": "you/x"}, "PERMISSION_DENIED", "NOT_YOURS"),
        ("PushOllamaModel", {"model": "a b"}, "INVALID_ARGUMENT", "BAD_NAME"),
        ("PushOllamaModel", {"model": "a", "quantization": "q2_k"}, "INVALID_ARGUMENT", "BAD_QUANTISATION"),
    ],
)
def test_refusals_travel_with_their_reasons(
    place: Place, method: str, request_: dict[str, str], code: str, reason: str
) -> None:
    kind = getattr(export_pb2, f"{method}Request")
    with pytest.raises(grpc.RpcError) as caught:
        getattr(place.stub, method)(kind(**({"export_job": place.job.name} | request_)), timeout=60)
    assert caught.value.code().name == code  # type: ignore[attr-defined]
    assert from_status(caught.value).reason == reason  # type: ignore[arg-type]


def test_a_missing_token_travels_as_unauthenticated(place: Place) -> None:
    kept = place.token.read_text()
    place.token.write_text("")
    try:
        request = export_pb2.PublishModelRequest(export_job=place.job.name, repository="me/tale")
        with pytest.raises(grpc.RpcError) as caught:
            place.stub.PublishModel(request, timeout=60)
        assert from_status(caught.value).reason == "NO_TOKEN"  # type: ignore[arg-type]
    finally:
        place.token.write_text(kept)


def test_a_push_that_is_dry_needs_no_ollama(place: Place) -> None:
    request = export_pb2.PushOllamaModelRequest(export_job=place.job.name, model="tale", dry_run=True)
    response = place.stub.PushOllamaModel(request, timeout=60)
    assert [f.path for f in response.files] == ["tale.q4_k_m.gguf"]
    assert response.address == "tale"


@pytest.mark.skipif(REAL_OLLAMA is None, reason="no ollama on PATH")
def test_a_real_ollama_runs_the_model(place: Place, tmp_path: Path) -> None:
    environment = os.environ | {
        "OLLAMA_HOST": place.ollama.removeprefix("http://"),
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "HOME": str(tmp_path),
    }
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([str(REAL_OLLAMA), "serve"], env=environment, stdout=log, stderr=log)
    try:
        asked(place.ollama, "/api/version", seconds=60)
        request = export_pb2.PushOllamaModelRequest(export_job=place.job.name, model="me/tale:v1")
        for quantization in ("", "f16", ""):
            request.quantization = quantization
            place.stub.PushOllamaModel(request, timeout=120)
        shown = asked(place.ollama, "/api/show", {"model": "me/tale:v1"})
        assert shown["template"] == "{{ .Prompt }}"
        parameters = dict(line.split(maxsplit=1) for line in shown["parameters"].splitlines())
        assert parameters["num_ctx"] == "64"
        assert parameters["stop"] == '"<|endoftext|>"'
        assert parameters["temperature"] == "0.8"
        assert shown["details"]["quantization_level"] == "Q4_K_M"
        completion = {"model": "me/tale:v1", "prompt": "The miller", "stream": False, "options": {"num_predict": 5}}
        written = asked(place.ollama, "/api/generate", completion, seconds=120)
        assert written["done"]
        assert written["eval_count"] >= 1
    finally:
        server.terminate()
        server.wait(30)


def asked(address: str, path: str, body: dict[str, Any] | None = None, seconds: float = 30) -> Any:
    """Asks until there is an answer; a server that is still starting has none."""
    until = time.monotonic() + seconds
    while True:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(address + path, data), timeout=seconds) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < until, f"{address}{path} does not answer"
            time.sleep(0.05)
