"""The service as a program, and what happens to calls that end early."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bookmill.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.ports import free_ports
from tests.support.hub import HubDouble
from tests.support.mirror import Mirror
from tests.support.model_files import MODEL

ROOT = Path(__file__).parents[3]


def start(environment: Mapping[str, str], port: int, **settings: str) -> subprocess.Popen[bytes]:
    named = {f"BOOKMILL_INGEST_{name.upper()}": value for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "services.ingest"],
        cwd=ROOT,
        env={**os.environ, **environment, "BOOKMILL_PORT": str(port), "BOOKMILL_NOT_SERVING_SECONDS": "0", **named},
        stderr=subprocess.PIPE,
    )


def test_it_serves_answers_and_ends_on_sigterm(store_environment: dict[str, str], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Mirror() as mirror:
        mirror.put("/1/12/12-0.txt", "A tale — of a mill.\r\n".encode())
        process = start(
            store_environment, port, mirrors=mirror.url, exempt_hosts="127.0.0.1", work_dir=str(tmp_path / "work")
        )
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            until = time.monotonic() + 30
            while True:
                try:
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True)
                    break
                except grpc.RpcError:
                    assert process.poll() is None
                    assert time.monotonic() < until
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            request = ingest_pb2.FetchBookRequest(book=ingest_pb2.Book(uri="gutenberg:12"))
            book = stub.FetchBook(request, timeout=30)
            assert book.encoding == "utf-8"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log.decode()
    assert b'"method": "/bookmill.v1.IngestService/FetchBook", "code": "OK"' in log


@pytest.mark.parametrize(("setting", "value"), [("mirrors", "mirror.org"), ("roots", "/no/such/folder")])
def test_a_wrong_setting_ends_it_at_once_by_name(store_environment: dict[str, str], setting: str, value: str) -> None:
    process = start(store_environment, 0, **{setting: value})
    _, log = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"BOOKMILL_INGEST_{setting.upper()}" in log.decode()


async def test_a_model_whose_caller_went_away_is_not_held(serve) -> None:
    with HubDouble() as hub:
        hub.add_model("org/tiny", MODEL)
        hub.fail("GET", r"/cdn/", 200, times=1, seconds=60)
        async with serve(hub_endpoint=hub.url, read_seconds=120) as client:
            call = client.stub.FetchModel(ingest_pb2.FetchModelRequest(uri="hf:org/tiny"), timeout=60)
            reading = asyncio.create_task(call.read())
            until = time.monotonic() + 20
            while not hub.asked("GET", "/cdn/"):
                assert time.monotonic() < until
                await asyncio.sleep(0.02)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            begun = time.monotonic()
            model, _ = await client.model("hf:org/tiny")
            assert time.monotonic() - begun < 30
    assert model.parameters == 300_000
