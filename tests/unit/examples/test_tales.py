"""Each tale is what the shelf is there for: the forms in which Project Gutenberg's texts come, in prose of our own."""

import io
import re
import zipfile
from itertools import pairwise

import pytest

from deploy.examples.shelf import Shelf
from tests.support.catalogue import TALES

SHELF = Shelf.read(TALES)
STORIES = range(900001, 900011)
NARROW = 78


def raw(number: int) -> bytes:
    """The text's bytes, out of its zip where it is in one."""
    path = SHELF.text(number)
    if path:
        return path.read_bytes()
    with zipfile.ZipFile(TALES / f"{number}-0.zip") as archive:
        return archive.read(f"{number}-0.txt")


def text(number: int) -> str:
    encoding = {900004: "latin-1", 900008: "cp1252"}.get(number, "utf-8-sig")
    return raw(number).decode(encoding).replace("\r\n", "\n")


def body(number: int) -> str:
    whole = text(number)
    start = re.search(r"^\*\*\* ?START OF.*(?:\n.*)?\*\*\*$|^\*END\*THE SMALL PRINT!.*$", whole, re.MULTILINE)
    end = re.search(r"^ *\*\*\* ?END OF|^End of The Project Gutenberg Etext", whole, re.MULTILINE)
    assert start
    assert end
    return whole[start.end() : end.start()]


@pytest.mark.parametrize("number", STORIES)
def test_a_tale_is_long_enough_and_hard_wrapped(number: int) -> None:
    lines = text(number).split("\n")
    assert 9_000 < len(body(number)) < 16_000
    assert max(map(len, lines)) <= NARROW
    assert sum(60 <= len(line) <= 72 for line in lines) > 80
    record = SHELF.book(number)
    assert record
    assert record["title"].upper() in " ".join(text(number).upper().split())


def test_the_tales_are_a_hundred_thousand_characters_and_repeat_nothing() -> None:
    bodies = [body(number) for number in STORIES]
    assert sum(map(len, bodies)) > 100_000
    paragraphs = [p for one in bodies for p in re.split(r"\n\s*\n", one) if len(p) > 120]
    assert len(paragraphs) > 300
    assert len(set(paragraphs)) == len(paragraphs)


@pytest.mark.parametrize(
    ("number", "form"),
    [
        (900001, lambda data: data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data),
        (900002, lambda data: not data.startswith(b"\xef\xbb\xbf") and b"\r" not in data),
        (900004, lambda data: b"\xe9" in data and not is_utf8(data) and not re.search(rb"[\x80-\x9f]", data)),
        (900005, lambda data: data.isascii()),
        (900008, lambda data: b"\x93" in data and b"encoding: UTF-8" in data and not is_utf8(data)),
    ],
)
def test_the_bytes_are_of_every_kind(number: int, form: object) -> None:
    assert callable(form)
    assert form(raw(number))


@pytest.mark.parametrize(
    ("number", "mark"),
    [
        (900001, r"^ {12}\*\*\* END OF THE PROJECT GUTENBERG EBOOK"),
        (900001, r"\.\[1\]"),
        (900001, r"^\[1\] The parish"),
        (900001, r"^\[Illustration: "),
        (900002, r"^Produced by"),
        (900002, r"^End of Project Gutenberg's"),
        (900002, r"^ {4}O who will tend the lamp, my love,\n {6}And who"),
        (900003, r"^Contents$"),
        (900004, r"^\[A\] It is later"),
        (900005, r"^\*\*\*START OF THE"),
        (900005, r"^CHAPTER ONE\. IN WHICH WE ARE BESET\.{5,} +3$"),
        (900005, r"^\[Pg 14\]$"),
        (900005, r"^ +(\* +){4}\*$"),
        (900006, r"^\*\*\* START OF THIS .*[^*]\n.*\*\*\*$"),
        (900006, r"^Transcriber's Note:"),
        (900006, r"_I see the garden"),
        (900009, r"^\[Transcriber's Note:"),
        (900010, r"^\*END\*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS\*"),
    ],
)
def test_the_marks_of_a_gutenberg_text_are_there(number: int, mark: str) -> None:
    assert re.search(mark, text(number), re.MULTILINE)


def test_a_zip_holds_one_text() -> None:
    with zipfile.ZipFile(io.BytesIO((TALES / "900003-0.zip").read_bytes())) as archive:
        assert archive.namelist() == ["900003-0.txt"]


def test_the_shelf_has_books_to_refuse() -> None:
    assert raw(900011).startswith(b"<!DOCTYPE html>")
    assert len(body(900012).split()) < 20
    audio = SHELF.book(900013)
    assert audio
    assert audio["media_type"] == "Sound"
    assert "text/plain" in audio["formats"]
    assert SHELF.text(900013) is None


def test_the_index_is_ordered_by_downloads_and_has_gutendex_s_fields() -> None:
    assert all(one["download_count"] >= two["download_count"] for one, two in pairwise(SHELF.records))
    fields = [
        "id",
        "title",
        "authors",
        "summaries",
        "editors",
        "translators",
        "subjects",
        "bookshelves",
        "languages",
        "copyright",
        "media_type",
        "formats",
        "download_count",
    ]
    assert all(list(record) == fields for record in SHELF.records)
    assert {record["id"] for record in SHELF.records} == set(range(900001, 900014))


def is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
