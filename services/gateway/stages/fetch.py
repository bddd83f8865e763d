"""Fetch: each book's text, brought into the store."""

from dataclasses import replace

from bookmill.v1 import ingest_pb2
from services.gateway.books import BookOnItsWay
from services.gateway.context import Context
from services.gateway.patience import ask
from services.gateway.results import Books, State
from services.gateway.shelving import each_book


async def fetch(context: Context, state: State) -> Books:
    """Has ingest fetch every book."""

    async def one(book: BookOnItsWay) -> tuple[BookOnItsWay, bool]:
        request = ingest_pb2.FetchBookRequest(book=book.book)
        method = context.peers.ingest.FetchBook
        fetched, recorded = await ask(
            context, "ingest", method, request, ingest_pb2.FetchBookResponse, context.settings.book_seconds
        )
        return replace(book, fetched=fetched), recorded

    shelf = await each_book(context, "fetching", state.books(), one)
    size = sum(book.fetched.source_size_bytes for book in shelf.books if book.fetched is not None)
    return replace(shelf, counted={"bytes": size})
