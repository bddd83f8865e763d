"""Dataset: one of all the books' chunks."""

import asyncio

from bookmill.v1 import chunk_pb2
from services.common.canonical import JSON, canonical_json
from services.common.objects import Reference
from services.gateway.books import BookOnItsWay
from services.gateway.context import Context
from services.gateway.patience import ask
from services.gateway.results import Dataset, State


async def dataset(context: Context, state: State) -> Dataset:
    """Has the chunk service build the dataset of a manifest of the books.

    Raises:
        Refused: `NO_CHUNKS`: nothing is left to train on.
    """
    # Sorted, so that equal sets of books have one manifest, whatever the order in which they were found.
    rows = [_row(book) for book in sorted(state.books(), key=lambda book: book.uri)]
    manifest = await asyncio.to_thread(context.store.put_bytes, "manifests", canonical_json({"books": rows}), ".json")
    context.meter.begin("building the dataset", len(rows), "books")
    request = chunk_pb2.BuildDatasetRequest(
        manifest=manifest.to_proto(), held_out_fraction=context.spec.held_out_fraction
    )
    method = context.peers.chunk.BuildDataset
    response, recorded = await ask(
        context, "chunk", method, request, chunk_pb2.BuildDatasetResponse, context.settings.bulk_seconds
    )
    if recorded:
        context.meter.count_recorded()
    return Dataset(response, manifest)


def _row(book: BookOnItsWay) -> JSON:
    assert book.chunked is not None  # noqa: S101 (the stage before saw to it)
    chunks = Reference.from_proto(book.chunked.chunks).to_json()
    return {
        "id": book.uri,
        "title": book.title,
        "author": "; ".join(book.authors),
        "source": book.source,
        "chunks": chunks,
    }
