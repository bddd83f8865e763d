"""`python -m services.chunk` as a process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bookmill.v1 import chunk_pb2, chunk_pb2_grpc
from services.cli.ports import free_ports
from services.common.clients import call, channel
from services.common.errors import Unavailable
from services.common.storage import Store
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]


@contextmanager
def program(environment: dict[str, str], work: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"BOOKMILL_CHUNK_WORK_DIR": str(work), **environment, **more}
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}
    running = subprocess.Popen(
        [sys.executable, "-m", "services.chunk"], cwd=ROOT, env=kept | settings, stderr=subprocess.PIPE
    )
    assert running.stderr
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


async def texts_in(work: Path) -> list[Path]:
    return await asyncio.to_thread(lambda: list(work.glob("*/text")))


async def chunk_book(port: int, request: chunk_pb2.ChunkBookRequest) -> tuple[chunk_pb2.ChunkBookResponse, bool]:
    async with channel(f"127.0.0.1:{port}") as peer:
        await peer.channel_ready()
        method = chunk_pb2_grpc.ChunkServiceStub(peer).ChunkBook
        return await call(method, request, chunk_pb2.ChunkBookResponse, timeout=60)


async def test_a_service_killed_at_work_gives_the_same_chunks_when_it_is_back(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    text = store.put_bytes("books/clean", b"The lamp was lit. Dr. Crewe went down to the sea. " * 4_000)
    request = chunk_pb2.ChunkBookRequest(text=text.to_proto())
    (port,) = free_ports(1)
    with program(store_environment, tmp_path / "work", BOOKMILL_PORT=str(port)) as running:
        async with channel(f"127.0.0.1:{port}") as peer:
            await peer.channel_ready()
            method = chunk_pb2_grpc.ChunkServiceStub(peer).ChunkBook
            in_flight = asyncio.create_task(call(method, request, chunk_pb2.ChunkBookResponse, timeout=60))
            await eventually(lambda: texts_in(tmp_path / "work"), bool)
            running.send_signal(signal.SIGKILL)
            with pytest.raises(Unavailable):
                await in_flight
    assert list(store.list("results/")) == []
    with program(store_environment, tmp_path / "work", BOOKMILL_PORT=str(port)) as running:
        made, recorded = await chunk_book(port, request)
        assert not recorded
        assert await chunk_book(port, request) == (made, True)
        running.terminate()
        assert running.wait(20) == 0


def test_a_wrong_setting_is_named_and_nothing_starts(store_environment: dict[str, str], tmp_path: Path) -> None:
    with program(store_environment, tmp_path, BOOKMILL_CHUNK_DOWNLOADS="many") as running:
        assert running.wait(20) == 2
        assert running.stderr
        assert b"BOOKMILL_CHUNK_DOWNLOADS" in running.stderr.read()
