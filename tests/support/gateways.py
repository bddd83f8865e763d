"""Gateways for tests: in this process, or as the real program."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bookmill.v1 import ingest_pb2, object_pb2, run_pb2
from services.common.storage import Store
from services.gateway.active import is_final
from services.gateway.operating import Gateway
from services.gateway.peers import Peers
from services.gateway.settings import GatewaySettings
from tests.support.services import Services

TEXTS = {
    f"gutenberg:{number}": f"*** START\nOnce there was tale {number}.\n" + f"It went on and on, {number}. " * 20
    for number in range(900001, 900007)
}
MODEL = "hf:example/tiny@main"


def settings_for(services: Services, **more: Any) -> GatewaySettings:
    addresses = {name: f"127.0.0.1:{port}" for name, port in services.ports.items()}
    quick = {"backoff_seconds": 0.05, "poll_seconds": 0.1, "patience_seconds": 20.0, "http_port": 0}
    return GatewaySettings(**{**addresses, **quick, **more})


@asynccontextmanager
async def gateway_for(store: Store, services: Services, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway in this process, resumed as the program does."""
    chosen = settings_for(services, **settings)
    async with Peers.connected(chosen) as peers:
        gateway = Gateway(store, peers, chosen)
        await gateway.resume()
        try:
            yield gateway
        finally:
            await gateway.stop()


def spec(*uris: str, **fields: Any) -> run_pb2.RunSpec:
    """A spec of named books, or of a topic when none is named."""
    fields.setdefault("base_model", MODEL)
    if uris:
        return run_pb2.RunSpec(books=[ingest_pb2.Book(uri=uri) for uri in uris], **fields)
    return run_pb2.RunSpec(topic=fields.pop("topic", "horror"), **fields)


async def ended(gateway: Gateway, name: str, seconds: float = 30.0) -> run_pb2.Run:
    """Watches a run to its end."""
    async with asyncio.timeout(seconds):
        async for run in gateway.watch(name):
            if is_final(run):
                return run
    raise AssertionError("the watch ended before the run")


async def until(condition: Callable[[], Awaitable[Any] | Any], seconds: float = 20.0) -> Any:
    """Polls until a condition holds, and gives what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(0.02)


def state_of(run: run_pb2.Run, stage: str) -> str:
    found = next(s for s in run.stages if s.name == stage)
    return object_pb2.State.Name(found.state).removeprefix("STATE_")


class GatewayProcess:
    """The real program."""

    def __init__(self, environment: dict[str, str], log: Path, grpc_port: int, http_port: int) -> None:
        self.grpc_port, self.http_port = grpc_port, http_port
        own = {
            "BOOKMILL_PORT": str(grpc_port),
            "BOOKMILL_GATEWAY_HTTP_PORT": str(http_port),
            "BOOKMILL_GATEWAY_BACKOFF_SECONDS": "0.05",
            "BOOKMILL_GATEWAY_POLL_SECONDS": "0.1",
            "BOOKMILL_DRAIN_SECONDS": "1",
            "BOOKMILL_NOT_SERVING_SECONDS": "0",
        }
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.gateway"],
                env={**os.environ, **environment, **own},
                stdout=file,
                stderr=file,
            )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)
