"""Clean: each book's prose."""

from dataclasses import replace

from bookmill.v1 import clean_pb2
from services.gateway.books import BookOnItsWay
from services.gateway.context import Context
from services.gateway.patience import ask
from services.gateway.results import Books, State
from services.gateway.shelving import each_book


async def clean(context: Context, state: State) -> Books:
    """Has the clean service apply its rules to every book."""

    async def one(book: BookOnItsWay) -> tuple[BookOnItsWay, bool]:
        assert book.fetched is not None  # noqa: S101 (the stage before saw to it)
        request = clean_pb2.CleanBookRequest(text=book.fetched.text)
        method = context.peers.clean.CleanBook
        cleaned, recorded = await ask(
            context, "clean", method, request, clean_pb2.CleanBookResponse, context.settings.book_seconds
        )
        return replace(book, cleaned=cleaned), recorded

    shelf = await each_book(context, "cleaning", state.books(), one)
    cleaned = [book.cleaned for book in shelf.books if book.cleaned is not None]
    characters = {
        "characters_in": sum(c.characters_in for c in cleaned),
        "characters_out": sum(c.characters_out for c in cleaned),
    }
    return replace(shelf, counted=characters)
