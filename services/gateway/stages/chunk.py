"""Chunk: each book cut at paragraphs and sentences."""

from dataclasses import replace

from bookmill.v1 import chunk_pb2
from services.gateway.books import BookOnItsWay
from services.gateway.context import Context
from services.gateway.patience import ask
from services.gateway.results import Books, State
from services.gateway.shelving import each_book


async def chunk(context: Context, state: State) -> Books:
    """Has the chunk service cut every book."""

    async def one(book: BookOnItsWay) -> tuple[BookOnItsWay, bool]:
        assert book.cleaned is not None  # noqa: S101 (the stage before saw to it)
        request = chunk_pb2.ChunkBookRequest(text=book.cleaned.text, max_characters=context.spec.max_characters)
        method = context.peers.chunk.ChunkBook
        chunked, recorded = await ask(
            context, "chunk", method, request, chunk_pb2.ChunkBookResponse, context.settings.book_seconds
        )
        return replace(book, chunked=chunked), recorded

    shelf = await each_book(context, "cutting into chunks", state.books(), one)
    chunks = sum(book.chunked.chunk_count for book in shelf.books if book.chunked is not None)
    return replace(shelf, counted={"chunks": chunks})
