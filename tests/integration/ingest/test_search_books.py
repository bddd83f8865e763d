import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import BookmillError, InvalidInput, NotFound, Unavailable
from tests.support.catalogue import GARBAGE, HTML, SERVER_ERROR, TALES, TOO_MANY, Faulty
from tests.support.mirror import Mirror

INDEX = json.loads((TALES / "index.json").read_text(encoding="utf-8"))["books"]
USABLE = {
    f"gutenberg:{book['id']}"
    for book in INDEX
    if book["media_type"] == "Text"
    and book["copyright"] is False
    and "en" in book["languages"]
    and any("ghost" in subject.lower() for subject in book["subjects"] + book["bookshelves"])
    and any(kind.startswith("text/plain") for kind in book["formats"])
}


@pytest.fixture
def catalogue() -> Iterator[Faulty]:
    with Faulty(page_size=3) as running:
        yield running


async def test_the_books_of_a_topic_are_listed(serve, catalogue: Faulty) -> None:
    async with serve(catalogue_url=catalogue.url) as client:
        found = await client.search("ghost", max_books=100)
    assert {answer.book.uri for answer in found} == USABLE
    assert len(USABLE) >= 4
    assert len(found) == len(USABLE)
    first = next(answer.book for answer in found if answer.book.uri == "gutenberg:900001")
    assert (first.title, list(first.authors), list(first.languages)) == ("The Salt Bell", ["Tarrant, Maud"], ["en"])
    assert list(first.text_urls) == [f"{catalogue.url}/ebooks/900001.txt.utf-8"]
    downloads = [answer.book.download_count for answer in found]
    assert downloads == sorted(downloads, reverse=True)


async def test_no_book_is_repeated_or_lost_when_the_order_changes(serve, catalogue: Faulty) -> None:
    catalogue.reorder(after=1)
    async with serve(catalogue_url=catalogue.url) as client:
        found = [answer.book.uri for answer in await client.search("ghost", max_books=100)]
    assert sorted(found) == sorted(USABLE)
    assert len(catalogue.asked("/books/")) > 3


async def test_a_catalogue_behind_a_redirect_is_found(serve, catalogue: Faulty) -> None:
    async with serve(catalogue_url=f"{catalogue.url}/books/") as client:
        assert len(await client.search("ghost", max_books=2)) == 2
    assert len(catalogue.asked("/books")) == 1


async def test_the_pace_is_kept_between_pages(serve, catalogue: Faulty) -> None:
    async with serve(catalogue_url=catalogue.url) as client:
        await client.search("ghost", max_books=100)
        assert client.clock.waits == [pytest.approx(2.0)] * (len(catalogue.asked("/books/")) - 1)


@pytest.mark.parametrize("fault", [TOO_MANY, SERVER_ERROR, HTML, GARBAGE])
async def test_a_bad_moment_passes(serve, catalogue: Faulty, fault) -> None:
    catalogue.fail("/books/", fault, times=2)
    async with serve(catalogue_url=catalogue.url) as client:
        assert {answer.book.uri for answer in await client.search("ghost", max_books=100)} == USABLE


@pytest.mark.parametrize(
    ("fault", "says"),
    [(TOO_MANY, "429"), (SERVER_ERROR, "500"), (HTML, "DOCTYPE"), (GARBAGE, "no catalogue")],
)
async def test_a_catalogue_that_fails_is_told_after_bounded_attempts(
    serve, catalogue: Faulty, fault, says: str
) -> None:
    catalogue.fail("/books/", fault)
    async with serve(catalogue_url=catalogue.url) as client:
        with pytest.raises(Unavailable, match=says) as caught:
            await client.search("ghost")
    assert caught.value.reason == "CATALOGUE_UNAVAILABLE"
    assert len(catalogue.asked("/books/")) == 4


async def test_a_catalogue_that_never_answers_is_told(serve, catalogue: Faulty) -> None:
    catalogue.hang("/books/")
    async with serve(catalogue_url=catalogue.url, read_seconds=0.1) as client:
        with pytest.raises(Unavailable, match="ReadTimeout") as caught:
            await client.search("ghost")
    assert caught.value.reason == "CATALOGUE_UNAVAILABLE"


async def test_a_catalogue_that_is_not_there_is_told(serve, mirror: Mirror) -> None:
    async with serve() as client:
        with pytest.raises(Unavailable, match="ConnectError"):
            await client.search("ghost")
    # A server without the list, and one that forbids it.
    async with serve(catalogue_url=mirror.url) as client:
        with pytest.raises(Unavailable, match="no list of books"):
            await client.search("ghost")


async def test_a_catalogue_at_an_inner_address_is_not_asked(serve, catalogue: Faulty) -> None:
    async with serve(catalogue_url=catalogue.url, exempt_hosts=()) as client:
        with pytest.raises(BookmillError) as caught:
            await client.search("ghost")
    assert caught.value.reason == "ADDRESS_NOT_ALLOWED"
    assert catalogue.requests == []


async def test_a_topic_without_books_says_so(serve, catalogue: Faulty) -> None:
    async with serve(catalogue_url=catalogue.url) as client:
        with pytest.raises(NotFound) as caught:
            await client.search("zzz")
    assert caught.value.reason == "NO_BOOKS"


async def test_a_malformed_request_is_refused(serve) -> None:
    async with serve() as client:
        for wrong, reason in [
            ({"topic": ""}, "NO_TOPIC"),
            ({"topic": "x", "languages": ["English"]}, "BAD_LANGUAGE"),
            ({"topic": "x", "max_books": -1}, "BAD_COUNT"),
        ]:
            with pytest.raises(InvalidInput) as caught:
                await client.search(**wrong)
            assert caught.value.reason == reason


async def test_recorded_answers_are_walked(serve, mirror: Mirror, shared: Path) -> None:
    """The pages that a real catalogue gave, served at the addresses that it gave them."""
    first, second, third = (
        json.loads((shared / "gutendex" / name).read_bytes()) for name in ("01.json", "02.json", "03.json")
    )
    query = "copyright=false&languages=en&mime_type=text%2Fplain&topic=x"
    mirror.put(f"/books/?{query}", json.dumps(first).encode())
    mirror.put("/books/?page=2", json.dumps(second).encode())
    mirror.put("/books/?page=3", json.dumps(third).encode())
    async with serve(catalogue_url=mirror.url) as client:
        found = await client.search("x", max_books=1000)
    expected = [
        book["id"]
        for page in (first, second, third)
        for book in page["results"]
        if any(kind.startswith("text/plain") for kind in book["formats"]) and book["copyright"] is False
    ]
    assert [answer.book.uri for answer in found] == [f"gutenberg:{number}" for number in expected]
    assert len(mirror.asked) == 3
    assert {answer.total_matches for answer in found} == {88}
