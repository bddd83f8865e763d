"""IngestService: from the wire to the domain and back."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from bookmill.v1 import ingest_pb2, ingest_pb2_grpc, object_pb2
from services.common.steps import Step, answer, answered, recorded
from services.common.storage import Store
from services.ingest.fetching import Reader, Source, fetch, find_source, unknown_scheme
from services.ingest.fetching_models import Progress, fetch_model
from services.ingest.flights import Flights
from services.ingest.gutendex import Candidate
from services.ingest.model_shelf import ModelShelf
from services.ingest.model_source import ModelFolder, ModelSource
from services.ingest.searching import Pages, Query, search
from services.ingest.workroom import Workroom

FETCH_BOOK = Step("fetch_book", 1)
FETCH_MODEL = Step("fetch_model", 1)

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """The service. What each call raises stands in its proto."""

    store: Store
    catalogue: Pages
    sources: Mapping[str, Source]
    model_sources: Mapping[str, ModelSource]
    read: Reader
    book_limit: int
    model_limit: int
    rooms: Workroom
    slots: asyncio.Semaphore
    """Bounds the books that are in memory at once."""
    flights: Flights = field(default_factory=Flights)

    async def SearchBooks(
        self,
        request: ingest_pb2.SearchBooksRequest,
        context: Context,  # noqa: ARG002 (gRPC's form)
    ) -> AsyncIterator[ingest_pb2.SearchBooksResponse]:
        """Lists books of the catalogue."""
        query = Query(request.topic, tuple(request.languages) or ("en",), request.max_books or 20)
        async for found in search(query, self.catalogue):
            yield ingest_pb2.SearchBooksResponse(book=_book(found.book), total_matches=found.total)

    async def FetchBook(
        self,
        request: ingest_pb2.FetchBookRequest,
        context: Context,  # noqa: ARG002
    ) -> ingest_pb2.FetchBookResponse:
        """Fetches one book."""
        source, address = find_source(request.book.uri, self.sources)
        identity = await source.identity(address)
        # The key: neither the catalogue's addresses nor a path or port in the URI decide what book it is.
        key = ingest_pb2.FetchBookRequest(book=ingest_pb2.Book(uri=identity))

        async def compute() -> ingest_pb2.FetchBookResponse:
            async with self.slots:
                book = await fetch(source, address, tuple(request.book.text_urls), self.book_limit, self.read)
                text = await asyncio.to_thread(self.store.put_bytes, "books/raw", book.text.data)
            return ingest_pb2.FetchBookResponse(
                text=text.to_proto(),
                source_sha256=book.sha256,
                source_url=book.address,
                encoding=book.text.encoding,
                source_size_bytes=book.size,
            )

        async with self.flights.alone(identity):
            return await answer(self.store, FETCH_BOOK, key, ingest_pb2.FetchBookResponse, compute)

    async def FetchModel(
        self,
        request: ingest_pb2.FetchModelRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[ingest_pb2.FetchModelResponse]:
        """Brings a base model in."""
        scheme, _, address = request.uri.partition(":")
        source = self.model_sources.get(scheme.lower())
        if source is None:
            raise unknown_scheme(request.uri, self.model_sources)
        latest: list[Progress] = []
        begun = time.monotonic()
        task = asyncio.create_task(self._model(source, address, latest))
        try:
            while not task.done() or latest:
                await asyncio.wait({task}, timeout=_PROGRESS_SECONDS)
                if latest:
                    yield ingest_pb2.FetchModelResponse(progress=_progress(latest.pop(), time.monotonic() - begun))
                    latest.clear()
            # What a task notes of its call is not seen outside of it.
            model, from_record = await task
            answered.set(from_record)
            yield ingest_pb2.FetchModelResponse(model=model)
        finally:
            task.cancel()

    async def _model(
        self, source: ModelSource, address: str, latest: list[Progress]
    ) -> tuple[ingest_pb2.BaseModel, bool]:
        if (identity := source.pinned(address)) is not None:
            hashed = FETCH_MODEL.key(ingest_pb2.FetchModelRequest(uri=identity))
            known = await asyncio.to_thread(recorded, self.store, FETCH_MODEL, hashed, ingest_pb2.BaseModel)
            if known is not None:
                return known, True
        async with source.open(address) as folder, self.flights.alone(folder.identity):
            key = ingest_pb2.FetchModelRequest(uri=folder.identity)
            model = await answer(
                self.store, FETCH_MODEL, key, ingest_pb2.BaseModel, lambda: self._bring(folder, latest)
            )
            return model, answered.get()

    async def _bring(self, folder: ModelFolder, latest: list[Progress]) -> ingest_pb2.BaseModel:
        model = await fetch_model(folder, ModelShelf(self.store), self.rooms, self.model_limit, latest.append)
        return ingest_pb2.BaseModel(
            folder=model.folder.to_proto(),
            resolved_uri=folder.resolved_uri,
            licence=folder.licence,
            parameters=model.parameters,
            architecture=model.architecture,
        )


_PROGRESS_SECONDS = 0.5


def _book(book: Candidate) -> ingest_pb2.Book:
    return ingest_pb2.Book(
        uri=f"gutenberg:{book.ebook}",
        title=book.title,
        authors=book.authors,
        languages=book.languages,
        text_urls=book.text_urls,
        download_count=book.downloads,
    )


def _progress(progress: Progress, seconds: float) -> object_pb2.Progress:
    done, total = progress.all_done, progress.all_size
    return object_pb2.Progress(
        activity=f"fetching {progress.name}",
        completed=done,
        total=total,
        unit="bytes",
        remaining_seconds=seconds * (total - done) / done if done else None,
        figures={"file_bytes": progress.done, "file_size_bytes": progress.size},
    )
