import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from services.common.errors import InvalidInput, NotFound, Unavailable
from services.ingest.gutendex import Candidate, Page
from services.ingest.searching import Query, search

HORROR = Query("horror", max_books=1000)


def book(number: int) -> Candidate:
    return Candidate(number, f"Tale {number}", (), ("en",), 0, (f"https://g.org/{number}.txt",))


@dataclass
class Shelf:
    """A catalogue whose order changes as a test says, after each page."""

    order: list[int]
    size: int = 4
    usable: set[int] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def change(self) -> None:
        """Nothing changes by default."""

    async def page(self, query: Mapping[str, str]) -> Page:
        self.asked.append(dict(query))
        order = sorted(self.order) if query.get("sort") == "ascending" else list(self.order)
        number = int(query.get("page", "1"))
        start = (number - 1) * self.size
        if start >= len(order) and number > 1:
            raise NotFound("NO_SUCH_PAGE", "Invalid page.")
        records = tuple(
            (n, book(n) if self.usable is None or n in self.usable else None) for n in order[start : start + self.size]
        )
        more = start + self.size < len(order)
        page = Page(records, len(order), {**query, "page": str(number + 1)} if more else None)
        self.change()
        return page


@dataclass
class Rising(Shelf):
    """After the first page, a book of the second becomes the first of all."""

    async def page(self, query: Mapping[str, str]) -> Page:
        if len(self.asked) == 1:
            self.order.insert(0, self.order.pop(5))
        return await Shelf.page(self, query)


@dataclass
class Shuffling(Shelf):
    """Every page comes from another order."""

    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def change(self) -> None:
        self.chance.shuffle(self.order)


@dataclass
class Losing(Shelf):
    """After the first page, a book of it is withdrawn, so that all others move up."""

    async def page(self, query: Mapping[str, str]) -> Page:
        if len(self.asked) == 1:
            del self.order[0]
        return await Shelf.page(self, query)


@dataclass
class Shrinking(Shelf):
    """After the first page only three books are left."""

    async def page(self, query: Mapping[str, str]) -> Page:
        if len(self.asked) == 1:
            del self.order[3:]
        return await Shelf.page(self, query)


@dataclass
class RisingUncounted(Rising):
    """The same, of a catalogue that does not say how many books there are."""

    async def page(self, query: Mapping[str, str]) -> Page:
        return replace(await Rising.page(self, query), count=0)


async def numbers(query: Query, shelf: Shelf) -> list[int]:
    return [found.book.ebook async for found in search(query, shelf)]


async def test_pages_are_followed_to_the_end_and_no_further() -> None:
    shelf = Shelf(list(range(10, 0, -1)))
    assert await numbers(HORROR, shelf) == list(range(10, 0, -1))
    assert [asked.get("page", "1") for asked in shelf.asked] == ["1", "2", "3"]


async def test_no_more_is_asked_than_needed() -> None:
    shelf = Shelf(list(range(100)))
    assert await numbers(Query("horror", max_books=5), shelf) == [0, 1, 2, 3, 4]
    assert len(shelf.asked) == 2


async def test_the_query_asks_for_what_is_free_to_use() -> None:
    shelf = Shelf([1])
    await numbers(Query(" ghost \n stories", ("de", "en", "de")), shelf)
    assert shelf.asked == [
        {"topic": "ghost stories", "languages": "de,en", "copyright": "false", "mime_type": "text/plain"}
    ]


@pytest.mark.parametrize("kind", [Rising, RisingUncounted, Shuffling, Losing])
async def test_no_book_is_repeated_or_lost_when_the_order_changes(kind: type[Shelf]) -> None:
    shelf = kind(list(range(1, 15)))
    found = await numbers(HORROR, shelf)
    assert sorted(found) == list(range(1, 15))
    assert len(shelf.asked) <= 12


async def test_a_list_that_became_shorter_is_walked_again() -> None:
    assert sorted(await numbers(HORROR, Shrinking(list(range(1, 9))))) == [1, 2, 3, 4]


async def test_records_that_cannot_be_used_count_as_seen() -> None:
    shelf = Shelf(list(range(8)), usable={2, 5})
    assert await numbers(HORROR, shelf) == [2, 5]
    assert len(shelf.asked) == 2


@pytest.mark.parametrize("shelf", [Shelf([]), Shelf([1, 2], usable=set())])
async def test_a_topic_without_books_says_so(shelf: Shelf) -> None:
    with pytest.raises(NotFound, match="'horror' in en") as caught:
        await numbers(HORROR, shelf)
    assert caught.value.reason == "NO_BOOKS"


class Circle:
    async def page(self, query: Mapping[str, str]) -> Page:
        following = itertools.cycle(("2", "3"))
        return Page(((1, book(1)),), 0, {"page": "3" if query.get("page") == "2" else next(following)})


async def test_pages_that_lead_in_a_circle_end() -> None:
    with pytest.raises(Unavailable, match="in a circle"):
        async for _ in search(HORROR, Circle()):
            pass


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"topic": " "}, "NO_TOPIC"),
        ({"topic": "x" * 201}, "NO_TOPIC"),
        ({"topic": "x", "languages": ("english",)}, "BAD_LANGUAGE"),
        ({"topic": "x", "languages": ("en,de",)}, "BAD_LANGUAGE"),
        ({"topic": "x", "languages": ("EN",)}, "BAD_LANGUAGE"),
        ({"topic": "x", "max_books": 0}, "BAD_COUNT"),
        ({"topic": "x", "max_books": -1}, "BAD_COUNT"),
        ({"topic": "x", "max_books": 10_001}, "BAD_COUNT"),
    ],
)
def test_a_malformed_query_is_refused(wrong: dict, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Query(**wrong)
    assert caught.value.reason == reason
