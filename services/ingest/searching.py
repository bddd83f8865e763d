"""Walks a catalogue's pages, so that each book comes once and none is lost while the list changes.

The list is ordered by downloads, which are counted anew between two pages: a book that rises to a page
already read pushes another down to the next, where it comes again. A walk to the end in which no book came
twice, the count stayed, and as many books came as were counted has seen them all. Otherwise the list is
walked again, by number, an order that downloads do not change.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from services.common.errors import InvalidInput, NotFound, Unavailable
from services.ingest.gutendex import Candidate, Page


class Pages(Protocol):
    """A catalogue, as far as searching needs it."""

    async def page(self, query: Mapping[str, str]) -> Page:
        """Returns a page. Raises NotFound NO_SUCH_PAGE past the last one, Unavailable
        CATALOGUE_UNAVAILABLE."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. Raises InvalidInput NO_TOPIC, BAD_LANGUAGE or BAD_COUNT."""

    topic: str
    """Words of a subject or a bookshelf."""
    languages: tuple[str, ...] = ("en",)
    max_books: int = 20

    def __post_init__(self) -> None:
        if not self.topic.strip():
            raise InvalidInput("NO_TOPIC", "the topic is empty; give words of a subject, for example 'horror'")
        if len(self.topic) > _TOPIC:
            raise InvalidInput("NO_TOPIC", f"the topic has {len(self.topic)} characters; at most {_TOPIC} are a topic")
        for code in self.languages:
            if not _LANGUAGE.fullmatch(code):
                raise InvalidInput("BAD_LANGUAGE", f"{code!r} is not an ISO 639 code such as 'en' or 'de'")
        if not 1 <= self.max_books <= _BOOKS:
            raise InvalidInput("BAD_COUNT", f"max_books is {self.max_books}; it may be 1 to {_BOOKS:,}")

    def parameters(self) -> dict[str, str]:
        """Returns the query of the first page."""
        return {
            "copyright": "false",
            "languages": ",".join(sorted(set(self.languages))),
            "mime_type": "text/plain",
            "topic": " ".join(self.topic.split()),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """A book, and how many there are."""

    book: Candidate
    total: int
    """Books that the catalogue counts."""


async def search(query: Query, catalogue: Pages) -> AsyncIterator[Found]:
    """Yields at most `query.max_books` books, most downloaded first, each once.

    Raises NotFound NO_BOOKS where none matches, Unavailable CATALOGUE_UNAVAILABLE.
    """
    given: set[int] = set()
    for order in _ORDERS:
        walk = _Walk()
        async for page in _pages(query.parameters() | order, catalogue):
            walk.add(page)
            for number, book in page.records:
                if book is None or number in given:
                    continue
                given.add(number)
                yield Found(book, page.count)
                if len(given) == query.max_books:
                    return
        if walk.saw_all():
            break
    if not given:
        raise NotFound(
            "NO_BOOKS",
            f"no public-domain text is catalogued under the topic {query.topic!r} in "
            f"{', '.join(query.languages)}; try a broader word, as it appears in subjects and bookshelves",
        )


class _Walk:
    """What one walk over the pages saw."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._count = 0
        self._repeated = False

    def add(self, page: Page) -> None:
        numbers = {number for number, _ in page.records}
        self._repeated |= not self._seen.isdisjoint(numbers)
        self._seen |= numbers
        self._count = max(self._count, page.count)

    def saw_all(self) -> bool:
        """Whether the list stood still. A catalogue that does not count is taken at its word."""
        return not self._repeated and len(self._seen) >= self._count


_ORDERS: tuple[dict[str, str], ...] = ({}, {"sort": "ascending"}, {"sort": "ascending"})
"""The walks at most. New books come at the end of an order by number, so the second is nearly always the
last."""

_PAGES = 5_000
"""Twice the pages of the whole catalogue: whoever needs more walks in a circle."""

_TOPIC = 200
_BOOKS = 10_000

# ISO 639-1 or 639-2, as the catalogue writes them.
_LANGUAGE = re.compile(r"[a-z]{2,3}")


async def _pages(query: Mapping[str, str], catalogue: Pages) -> AsyncIterator[Page]:
    asked: set[frozenset[tuple[str, str]]] = set()
    following: Mapping[str, str] | None = query
    while following is not None:
        if (key := frozenset(following.items())) in asked or len(asked) >= _PAGES:
            raise Unavailable(
                "CATALOGUE_UNAVAILABLE", f"the catalogue's pages lead in a circle: {dict(following)!r} again"
            )
        asked.add(key)
        try:
            page = await catalogue.page(following)
        except NotFound:
            # The list became shorter than the page before said; where the first page is missing there is no
            # list.
            if len(asked) == 1:
                raise Unavailable("CATALOGUE_UNAVAILABLE", "the catalogue has no list of books at /books/") from None
            return
        yield page
        following = page.following
