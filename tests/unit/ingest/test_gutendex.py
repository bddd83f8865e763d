import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import Unavailable
from services.ingest.gutendex import _candidate, read_page, text_urls

BASE = "https://g.org/files/1/"


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "title": "Tales",
        "authors": [{"name": "Poe, Edgar Allan", "birth_year": 1809, "death_year": 1849}],
        "languages": ["en"],
        "copyright": False,
        "media_type": "Text",
        "formats": {"text/plain; charset=utf-8": f"{BASE}1-0.txt"},
        "download_count": 7,
    } | changes


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ({"text/plain; charset=us-ascii": "1.txt"}, ["1.txt"]),
        ({"text/plain; charset=utf-8": "1.txt.utf-8", "text/html": "1.html"}, ["1.txt.utf-8"]),
        ({"text/plain": "1.txt"}, ["1.txt"]),
        (
            {
                "text/plain; charset=us-ascii": "1.txt",
                "text/plain; charset=iso-8859-1": "1-8.txt",
                "text/plain; charset=utf-8": "1-0.txt",
            },
            ["1-0.txt", "1-8.txt", "1.txt"],
        ),
        (
            {"text/plain; charset=utf-8": "1-0.zip", "text/plain; charset=us-ascii": "1.txt"},
            ["1.txt", "1-0.zip"],
        ),
        ({"TEXT/PLAIN;CHARSET=UTF-8": "1.txt"}, ["1.txt"]),
        ({"text/plain; charset=big5": "1-5.txt"}, ["1-5.txt"]),
        ({"text/plain": "1-readme.txt"}, []),
        ({"text/html": "1.html", "application/zip": "1.zip", "text/plainer": "1.txt"}, []),
        ({}, []),
    ],
)
def test_plain_texts_are_found_under_any_charset_the_best_first(formats: dict[str, str], expected: list[str]) -> None:
    assert list(text_urls({kind: BASE + name for kind, name in formats.items()})) == [BASE + n for n in expected]


@pytest.mark.parametrize("url", ["ftp://g.org/1.txt", "file:///1.txt", "1.txt", "", None, 7])
def test_other_addresses_are_left_out(url: Any) -> None:
    assert text_urls({"text/plain": url}) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"media_type": "Sound"},
        {"media_type": "Image", "formats": {"text/plain": f"{BASE}1.txt"}},
        {"media_type": None},
        {"copyright": True},
        {"copyright": None},
        {"formats": {"text/html": f"{BASE}1.html"}},
    ],
)
def test_what_cannot_be_used_is_left_out(changes: dict[str, Any]) -> None:
    assert _candidate(record(**changes)) is None
    page = read_page({"count": 1, "next": None, "results": [record(**changes)]})
    assert page.records == ((1, None),)


def test_a_sparse_record_is_a_book() -> None:
    book = _candidate(record(authors=[], title=None, download_count=None, languages=None))
    assert book is not None
    assert (book.authors, book.title, book.downloads, book.languages) == ((), "", 0, ())


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": {}, "next": None}, {"results": [], "next": 7}])
def test_another_form_is_no_page(body: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as caught:
        read_page(body)
    assert caught.value.reason == "CATALOGUE_UNAVAILABLE"


def test_what_is_no_record_is_passed_over() -> None:
    results = [None, 7, {"id": "x", "formats": {}}, {"id": 3}, record()]
    assert [number for number, _ in read_page({"results": results, "next": None}).records] == [1]


def test_next_gives_the_query_alone() -> None:
    page = read_page({"results": [], "next": "http://inner:8000/books/?languages=en%2Cde&page=2"})
    assert page.following == {"languages": "en,de", "page": "2"}


def test_recorded_pages_are_read(shared: Path) -> None:
    pages = 0
    for path in sorted((shared / "gutendex").glob("*.json")):
        body = json.loads(path.read_bytes() or b"{}")
        if not isinstance(body, dict) or "results" not in body:
            continue
        page = read_page(body)
        pages += 1
        assert len(page.records) == len(body["results"])
        for (number, book), raw in zip(page.records, body["results"], strict=True):
            has_text = any(kind.startswith("text/plain") for kind in raw["formats"])
            assert (book is not None) == (has_text and raw["copyright"] is False), number
    assert pages >= 15
