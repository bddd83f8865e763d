"""Search: the books that were named, and those that the catalogue has for the topic."""

import asyncio

from bookmill.v1 import ingest_pb2
from services.common import clients
from services.common.errors import NotFound
from services.common.objects import Reference
from services.gateway.book_lists import read_book_list
from services.gateway.books import BookOnItsWay
from services.gateway.context import Context
from services.gateway.patience import patiently
from services.gateway.results import Books, State


async def search(context: Context, state: State) -> Books:  # noqa: ARG001 (it begins the run)
    """Lists the run's books, each once: the named ones first, then the catalogue's, most downloaded first.

    Raises:
        NotFound: `NO_BOOKS`: no book was named, and the catalogue has none of the topic.
    """
    spec = context.spec
    named = list(spec.books)
    if spec.HasField("book_list"):
        reference = Reference.from_proto(spec.book_list, "book_list")
        named += await asyncio.to_thread(read_book_list, context.store, reference)
    books = {book.uri: book for book in named}
    counted = {"named": len(books), "asked": len(books) + (spec.max_books if spec.topic else 0)}
    if spec.topic:
        found, matches = await _found(context, may_be_none=bool(books))
        counted |= {"matches": matches}
        for book in found:
            books.setdefault(book.uri, book)
    return Books(tuple(BookOnItsWay(book) for book in books.values()), (), counted)


async def _found(context: Context, may_be_none: bool) -> tuple[list[ingest_pb2.Book], int]:
    spec = context.spec
    request = ingest_pb2.SearchBooksRequest(topic=spec.topic, languages=spec.languages, max_books=spec.max_books)

    async def attempt() -> tuple[list[ingest_pb2.Book], int]:
        context.meter.begin(f"searching for {spec.topic!r}", spec.max_books, "books")
        books, matches = [], 0
        responses = clients.stream(
            context.peers.ingest.SearchBooks,
            request,
            ingest_pb2.SearchBooksResponse,
            context.settings.book_seconds,
            context.meter.count_recorded,
        )
        async for response in responses:
            books.append(response.book)
            matches = response.total_matches
            context.meter.advance()
        return books, matches

    try:
        return await patiently(context, "ingest", attempt)
    except NotFound:
        if may_be_none:
            return [], 0
        raise
