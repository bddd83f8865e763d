"""The five services, small and honest: real servers, real objects, toy work. For tests of the gateway.

They keep the contract of the protos (records, reasons, jobs named from their requests), so that what the gateway does
with them is what it does with the real ones; a test switches faults on.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from bookmill.v1 import (
    chunk_pb2,
    chunk_pb2_grpc,
    clean_pb2,
    clean_pb2_grpc,
    export_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    object_pb2,
    train_pb2_grpc,
)
from services.common.canonical import canonical_json
from services.common.errors import BookmillError, NotFound, Refused
from services.common.objects import Reference
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.steps import Step, answer
from services.common.storage import Store
from tests.support.toy_jobs import ToyExport, ToyTrain
from tests.support.toy_objects import put_folder

NAMES = {
    "ingest": "bookmill.v1.IngestService",
    "clean": "bookmill.v1.CleanService",
    "chunk": "bookmill.v1.ChunkService",
    "train": "bookmill.v1.TrainService",
    "export": "bookmill.v1.ExportService",
}


@dataclass
class Faults:
    """What a test makes go wrong, and what it counts."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls that came, by method."""
    work: Counter[str] = field(default_factory=Counter)
    """Those whose result had to be computed."""
    raises: dict[str, list[BookmillError] | BookmillError] = field(default_factory=dict)
    """What a method raises, by `Method` or `Method:uri`; of a list one each time until it is empty."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """A method, or a job's step, that waits until it is let through."""

    async def meet(self, *names: str) -> None:
        for name in names:
            self.calls[name] += 1
            if (gate := self.gates.get(name)) is not None:
                await gate.wait()
            fault = self.raises.get(name)
            if isinstance(fault, BookmillError):
                raise fault
            if fault:
                raise fault.pop(0)


class Services:
    """All five. Each has its port, which it keeps when it is stopped and started."""

    def __init__(self, store: Store, texts: dict[str, str]) -> None:
        self.store = store
        self.texts = texts
        """The texts that ingest can fetch, by URI; the catalogue lists them in this order."""
        self.faults = Faults()
        self.train = ToyTrain(store, self.faults)
        self.export = ToyExport(store, self.faults)
        self.ports = dict.fromkeys(NAMES, 0)
        self._open: dict[str, AsyncExitStack] = {}

    async def __aenter__(self) -> "Services":
        for name in NAMES:
            await self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for gate in self.faults.gates.values():
            gate.set()
        for name in list(self._open):
            await self.stop(name)
        await self.train.close()
        await self.export.close()

    async def start(self, name: str) -> None:
        """Starts a service, on the port that it had."""
        settings = ServerSettings(port=self.ports[name], drain_seconds=0, not_serving_seconds=0)
        stack = AsyncExitStack()
        register = {
            "ingest": lambda s: ingest_pb2_grpc.add_IngestServiceServicer_to_server(_Ingest(self), s),
            "clean": lambda s: clean_pb2_grpc.add_CleanServiceServicer_to_server(_Clean(self), s),
            "chunk": lambda s: chunk_pb2_grpc.add_ChunkServiceServicer_to_server(_Chunk(self), s),
            "train": lambda s: train_pb2_grpc.add_TrainServiceServicer_to_server(self.train, s),
            "export": lambda s: export_pb2_grpc.add_ExportServiceServicer_to_server(self.export, s),
        }[name]
        self.ports[name] = await stack.enter_async_context(serving(settings, register, (NAMES[name],)))
        self._open[name] = stack

    async def stop(self, name: str) -> None:
        """Stops a service at once; calls in flight break off."""
        await self._open.pop(name).aclose()

    def environment(self) -> dict[str, str]:
        """The settings with which a gateway reaches them."""
        return {f"BOOKMILL_GATEWAY_{name.upper()}": f"127.0.0.1:{port}" for name, port in self.ports.items()}


class _Ingest(ingest_pb2_grpc.IngestServiceServicer):
    def __init__(self, services: Services) -> None:
        self._services = services

    async def SearchBooks(
        self, request: ingest_pb2.SearchBooksRequest, context: Any
    ) -> AsyncIterator[ingest_pb2.SearchBooksResponse]:
        await self._services.faults.meet("SearchBooks")
        uris = [uri for uri in self._services.texts if uri.startswith("gutenberg:")]
        if request.topic == "nothing" or not uris:
            raise NotFound("NO_BOOKS", f"the catalogue has no book of {request.topic!r}")
        for uri in uris[: request.max_books or 20]:
            book = ingest_pb2.Book(uri=uri, title=f"Title of {uri}", authors=["Author, An"], languages=["en"])
            yield ingest_pb2.SearchBooksResponse(book=book, total_matches=len(uris))

    async def FetchBook(self, request: ingest_pb2.FetchBookRequest, context: Any) -> ingest_pb2.FetchBookResponse:
        services, uri = self._services, request.book.uri
        await services.faults.meet("FetchBook", f"FetchBook:{uri}")

        async def compute() -> ingest_pb2.FetchBookResponse:
            services.faults.work["FetchBook"] += 1
            if uri not in services.texts:
                raise NotFound("NO_SUCH_BOOK", f"no mirror has {uri!r}")
            data = services.texts[uri].encode()
            text = await asyncio.to_thread(services.store.put_bytes, "books/raw", data)
            return ingest_pb2.FetchBookResponse(
                text=text.to_proto(),
                source_sha256=text.sha256,
                source_url="https://mirror.example/book",
                encoding="utf-8",
                source_size_bytes=len(data),
            )

        only = ingest_pb2.FetchBookRequest(book=ingest_pb2.Book(uri=uri))
        return await answer(services.store, Step("fetch_book", 1), only, ingest_pb2.FetchBookResponse, compute)

    async def FetchModel(
        self, request: ingest_pb2.FetchModelRequest, context: Any
    ) -> AsyncIterator[ingest_pb2.FetchModelResponse]:
        await self._services.faults.meet("FetchModel")
        progress = object_pb2.Progress(activity="fetching", completed=5, total=10, unit="bytes")
        yield ingest_pb2.FetchModelResponse(progress=progress)
        store = self._services.store

        async def compute() -> ingest_pb2.BaseModel:
            files = {"config.json": b"{}", "model.safetensors": request.uri.encode()}
            folder = await put_folder(store, "models", files)
            return ingest_pb2.BaseModel(
                folder=folder.to_proto(),
                resolved_uri=f"{request.uri.partition('@')[0]}@{'c' * 40}",
                licence="apache-2.0",
                parameters=1234,
                architecture="llama",
            )

        model = await answer(store, Step("fetch_model", 1), request, ingest_pb2.BaseModel, compute)
        yield ingest_pb2.FetchModelResponse(model=model)


class _Clean(clean_pb2_grpc.CleanServiceServicer):
    def __init__(self, services: Services) -> None:
        self._services = services

    async def CleanBook(self, request: clean_pb2.CleanBookRequest, context: Any) -> clean_pb2.CleanBookResponse:
        services = self._services
        await services.faults.meet("CleanBook")

        async def compute() -> clean_pb2.CleanBookResponse:
            services.faults.work["CleanBook"] += 1
            raw = (await asyncio.to_thread(services.store.read, Reference.from_proto(request.text))).decode()
            prose = "\n".join(line for line in raw.splitlines() if not line.startswith("***"))
            if not prose.strip():
                raise Refused("ONLY_LICENCE", "nothing but a frame")
            text = await asyncio.to_thread(services.store.put_bytes, "books/clean", prose.encode())
            report = await asyncio.to_thread(
                services.store.put_bytes, "reports", canonical_json({"of": text.sha256}), ".json"
            )
            return clean_pb2.CleanBookResponse(
                text=text.to_proto(),
                report=report.to_proto(),
                characters_in=len(raw),
                characters_out=len(prose),
                removed=[object_pb2.Count(name="frame", value=len(raw) - len(prose))],
                title="A title of its header",
                author="Header, Of The",
            )

        return await answer(services.store, Step("clean_book", 1), request, clean_pb2.CleanBookResponse, compute)


class _Chunk(chunk_pb2_grpc.ChunkServiceServicer):
    def __init__(self, services: Services) -> None:
        self._services = services

    async def ChunkBook(self, request: chunk_pb2.ChunkBookRequest, context: Any) -> chunk_pb2.ChunkBookResponse:
        services = self._services
        await services.faults.meet("ChunkBook")

        async def compute() -> chunk_pb2.ChunkBookResponse:
            services.faults.work["ChunkBook"] += 1
            text = (await asyncio.to_thread(services.store.read, Reference.from_proto(request.text))).decode()
            size = request.max_characters or 7000
            rows = [text[i : i + size] for i in range(0, len(text), size)]
            chunks = await asyncio.to_thread(services.store.put_bytes, "chunks", canonical_json(rows), ".parquet")
            return chunk_pb2.ChunkBookResponse(chunks=chunks.to_proto(), chunk_count=len(rows), characters=len(text))

        return await answer(services.store, Step("chunk_book", 1), request, chunk_pb2.ChunkBookResponse, compute)

    async def BuildDataset(
        self, request: chunk_pb2.BuildDatasetRequest, context: Any
    ) -> chunk_pb2.BuildDatasetResponse:
        services = self._services
        await services.faults.meet("BuildDataset")

        async def compute() -> chunk_pb2.BuildDatasetResponse:
            services.faults.work["BuildDataset"] += 1
            manifest = json.loads(await asyncio.to_thread(services.store.read, Reference.from_proto(request.manifest)))
            books = manifest["books"]
            held = max(1, int(len(books) * request.held_out_fraction)) if len(books) > 1 else 0
            split = {"test": books[:held], "train": books[held:]}
            files = {f"{name}.parquet": canonical_json(rows) for name, rows in split.items() if rows}
            folder = await put_folder(services.store, "datasets", files)
            placed = [{"id": b["id"], "split": name} for name, rows in split.items() for b in rows]
            report = await asyncio.to_thread(
                services.store.put_bytes, "reports", canonical_json({"books": placed}), ".json"
            )
            splits = [
                chunk_pb2.Split(name=name, file=f"{name}.parquet", rows=len(rows), books=len(rows), characters=100)
                for name, rows in split.items()
                if rows
            ]
            return chunk_pb2.BuildDatasetResponse(dataset=folder.to_proto(), splits=splits, report=report.to_proto())

        return await answer(services.store, Step("build_dataset", 1), request, chunk_pb2.BuildDatasetResponse, compute)
