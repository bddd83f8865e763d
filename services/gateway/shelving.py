"""Work on many books at a time, of which a bad one is set aside with its reason and never stops the others."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from services.common.errors import BookmillError, Refused
from services.gateway.books import BookOnItsWay, SetAside
from services.gateway.context import Context
from services.gateway.results import Books

_log = logging.getLogger(__name__)

# What is wrong with the world, not with a book: these end the stage.
_NOT_THE_BOOK = frozenset({"SERVICE_DOWN", "STORE_FULL", "DISK_FULL", "STORE_FORBIDDEN", "GRPC_UNIMPLEMENTED"})


async def each_book(
    context: Context,
    activity: str,
    books: Sequence[BookOnItsWay],
    work: Callable[[BookOnItsWay], Awaitable[tuple[BookOnItsWay, bool]]],
) -> Books:
    """Does the same to each book, several at a time.

    Args:
        context: the stage's; it is told of each book.
        activity: what is done, for a person.
        books: in an order that the result keeps.
        work: gives the book with what was made of it, and whether that came from a record.

    Raises:
        Refused: `NO_BOOKS_LEFT`: every book was set aside.
        BookmillError: what is wrong is none of the books' fault.
    """
    context.meter.begin(activity, len(books), "books")
    places = asyncio.Semaphore(context.settings.books_at_once)

    async def one(book: BookOnItsWay) -> BookOnItsWay | SetAside:
        async with places:
            try:
                done, recorded = await work(book)
            except BookmillError as error:
                if error.reason in _NOT_THE_BOOK:
                    raise
                context.meter.advance(refused=True)
                _log.warning("book set aside", extra={"book": book.uri, "stage": context.stage, "reason": error.reason})
                return SetAside(book.uri, book.title, context.stage, error.reason, error.message)
            context.meter.advance(recorded=recorded)
            return done

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(book)) for book in books]
    outcomes = [task.result() for task in tasks]
    kept = tuple(o for o in outcomes if isinstance(o, BookOnItsWay))
    refusals = tuple(o for o in outcomes if isinstance(o, SetAside))
    if not kept:
        raise nothing_left(context.stage, refusals)
    return Books(kept, refusals)


def nothing_left(stage: str, refusals: Sequence[SetAside]) -> Refused:
    """Gives the error that says why no book is left, from the reasons of all."""
    reasons = Counter(refusal.reason for refusal in refusals).most_common()
    listed = ", ".join(f"{reason} ({count})" for reason, count in reasons)
    first = f"; the first: {refusals[0].book!r}: {refusals[0].message}" if refusals else ""
    return Refused(
        "NO_BOOKS_LEFT",
        f"{stage} set aside every one of {len(refusals)} books: {listed}{first}",
        stage=stage,
        reasons=listed,
    )
