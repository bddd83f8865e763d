"""ChunkService: from the wire to the domain and back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bookmill.v1 import chunk_pb2, chunk_pb2_grpc
from services.chunk import building, chunking
from services.chunk.building import ChunkedBook, build
from services.chunk.chunking_files import chunk_file
from services.chunk.figures import Built
from services.chunk.manifest import Book, read_manifest
from services.chunk.rooms import room
from services.chunk.settings import ChunkSettings
from services.common.canonical import canonical_json
from services.common.errors import InvalidInput, Refused
from services.common.objects import Reference
from services.common.steps import Step, answer
from services.common.storage import Store
from services.common.workers import Workers

CHUNK_BOOK = Step("chunk_book", chunking.VERSION)
BUILD_DATASET = Step("build_dataset", building.VERSION)

LIMITS = (200, 100_000)
"""Characters that a chunk may have at the most, at the least and at the most."""
FRACTIONS = (0.01, 0.5)
"""Shares of books that may be held out."""
DEFAULT_FRACTION = 0.1

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ChunkServicer(chunk_pb2_grpc.ChunkServiceServicer):
    """The service. What each call raises stands in its proto."""

    store: Store
    workers: Workers
    settings: ChunkSettings

    async def ChunkBook(
        self,
        request: chunk_pb2.ChunkBookRequest,
        context: Context,  # noqa: ARG002 (gRPC's form)
    ) -> chunk_pb2.ChunkBookResponse:
        """Cuts one book."""
        text = Reference.from_proto(request.text, "text")
        limit = _limit(request.max_characters)
        if text.size > self.settings.text_limit:
            raise Refused(
                "TOO_LONG",
                f"the text has {text.size:,} bytes, the most is {self.settings.text_limit:,}: split it into books",
            )

        async def compute() -> chunk_pb2.ChunkBookResponse:
            with room(self.settings.work_dir) as folder:
                source, target = folder / "text", folder / "chunks.parquet"
                await asyncio.to_thread(self.store.download, text, source)
                chunked = await self.workers.run(chunk_file, source, target, limit)
                chunks = await asyncio.to_thread(self.store.put_file, "chunks", target, ".parquet")
            return chunk_pb2.ChunkBookResponse(
                chunks=chunks.to_proto(), chunk_count=chunked.chunks, characters=chunked.characters
            )

        # The default is filled in, so that it and its absence are one request.
        key = chunk_pb2.ChunkBookRequest(text=text.to_proto(), max_characters=limit)
        return await answer(self.store, CHUNK_BOOK, key, chunk_pb2.ChunkBookResponse, compute)

    async def BuildDataset(
        self,
        request: chunk_pb2.BuildDatasetRequest,
        context: Context,  # noqa: ARG002
    ) -> chunk_pb2.BuildDatasetResponse:
        """Makes a dataset."""
        manifest = Reference.from_proto(request.manifest, "manifest")
        fraction = _fraction(request.held_out_fraction)

        async def compute() -> chunk_pb2.BuildDatasetResponse:
            books = read_manifest(await asyncio.to_thread(self.store.read, manifest))
            with room(self.settings.work_dir) as folder:
                chunked = await self._fetch(books, folder)
                target = folder / "dataset"
                target.mkdir()
                built = await self.workers.run(build, chunked, target, fraction)
                dataset = await asyncio.to_thread(self.store.put_folder, "datasets", target)
            data = canonical_json(built.report())
            report = await asyncio.to_thread(self.store.put_bytes, "reports", data, ".json")
            return _response(dataset, report, built)

        key = chunk_pb2.BuildDatasetRequest(manifest=manifest.to_proto(), held_out_fraction=fraction)
        return await answer(self.store, BUILD_DATASET, key, chunk_pb2.BuildDatasetResponse, compute)

    async def _fetch(self, books: Sequence[Book], folder: Path) -> list[ChunkedBook]:
        slots = asyncio.Semaphore(self.settings.downloads)

        async def one(number: int, book: Book) -> ChunkedBook:
            path = folder / f"{number}.parquet"
            async with slots:
                await asyncio.to_thread(self.store.download, book.chunks, path)
            return ChunkedBook(book.id, book.title, book.author, book.source, path)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(number, book)) for number, book in enumerate(books)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # the first that failed; the others were stopped for it
        return [task.result() for task in tasks]


def _limit(value: int) -> int:
    limit = value or chunking.DEFAULT_LIMIT
    low, high = LIMITS
    if not low <= limit <= high:
        raise InvalidInput(
            "BAD_LIMIT", f"max_characters {value!r} is not from {low} to {high:,} (0 is {chunking.DEFAULT_LIMIT:,})"
        )
    return limit


def _fraction(value: float) -> float:
    fraction = value or DEFAULT_FRACTION
    low, high = FRACTIONS
    if not low <= fraction <= high:
        raise InvalidInput(
            "BAD_FRACTION", f"held_out_fraction {value!r} is not from {low} to {high} (0 is {DEFAULT_FRACTION})"
        )
    return fraction


def _response(dataset: Reference, report: Reference, built: Built) -> chunk_pb2.BuildDatasetResponse:
    splits = [
        chunk_pb2.Split(name=s.name, file=s.file, rows=s.rows, books=s.books, characters=s.characters)
        for s in built.splits
    ]
    return chunk_pb2.BuildDatasetResponse(
        dataset=dataset.to_proto(), splits=splits, duplicates=built.duplicates, report=report.to_proto()
    )
