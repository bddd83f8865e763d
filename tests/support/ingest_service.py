"""The ingest service in this process, over gRPC and a real store, with time that does not pass."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bookmill.v1 import ingest_pb2, ingest_pb2_grpc
from services.common import clients
from services.common.server import serving
from services.common.settings import ServerSettings, StoreSettings
from services.common.storage import Store
from services.common.workers import Workers
from services.ingest.__main__ import SERVICE, build_servicer
from services.ingest.settings import IngestSettings
from tests.support.mirror import StillClock


@dataclass(frozen=True, slots=True)
class Client:
    """What a test asks the service."""

    stub: Any
    clock: StillClock

    async def search(self, topic: str, **more: Any) -> list[ingest_pb2.SearchBooksResponse]:
        request = ingest_pb2.SearchBooksRequest(topic=topic, **more)
        answers = clients.stream(self.stub.SearchBooks, request, ingest_pb2.SearchBooksResponse, 60)
        return [answer async for answer in answers]

    async def fetch(self, uri: str, urls: tuple[str, ...] = ()) -> tuple[ingest_pb2.FetchBookResponse, bool]:
        request = ingest_pb2.FetchBookRequest(book=ingest_pb2.Book(uri=uri, text_urls=urls))
        return await clients.call(self.stub.FetchBook, request, ingest_pb2.FetchBookResponse, 60)

    async def model(self, uri: str) -> tuple[ingest_pb2.BaseModel, list[ingest_pb2.FetchModelResponse]]:
        """Fetches a model: what came of it, and the messages of progress before."""
        request = ingest_pb2.FetchModelRequest(uri=uri)
        answers = clients.stream(self.stub.FetchModel, request, ingest_pb2.FetchModelResponse, 120)
        messages = [answer async for answer in answers]
        assert [m.HasField("model") for m in messages] == [False] * (len(messages) - 1) + [True]
        return messages[-1].model, messages[:-1]


@asynccontextmanager
async def ingest_service(
    environment: Mapping[str, str], work: Path, workers: Workers, **settings: Any
) -> AsyncIterator[Client]:
    """Serves with a store's settings and the service's own; loopback may be asked."""
    store_settings = StoreSettings(
        endpoint=environment["BOOKMILL_STORE_ENDPOINT"],
        bucket=environment["BOOKMILL_STORE_BUCKET"],
        access_key_file=Path(environment["BOOKMILL_STORE_ACCESS_KEY_FILE"]),
        secret_key_file=Path(environment["BOOKMILL_STORE_SECRET_KEY_FILE"]),
    )
    defaults: dict[str, Any] = {
        "exempt_hosts": ("127.0.0.1", "localhost"),
        "mirrors": (),
        "catalogue_url": "http://127.0.0.1:9",
        "catalogue_name": "test",
        "read_seconds": 5.0,
        "work_dir": work,
    }
    clock = StillClock()
    servicer = build_servicer(
        IngestSettings(**(defaults | settings)), store_settings, Store(store_settings), workers, clock
    )
    server = ServerSettings(drain_seconds=1, not_serving_seconds=0)
    async with (
        serving(server, lambda s: ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, s), (SERVICE,)) as port,
        # No retries of the channel: what the service answers first is what a test wants to see.
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Client(ingest_pb2_grpc.IngestServiceStub(channel), clock)
