import json
from typing import Any

import pytest

from services.chunk.manifest import read_manifest
from services.common.errors import InvalidInput

CHUNKS = {"key": "chunks/" + "0" * 64 + ".parquet", "sha256": "0" * 64, "size": 7}
BOOK = {"id": "gutenberg:84", "title": "Frankenstein", "author": "", "source": "", "chunks": CHUNKS}


def test_books_are_sorted_and_unknown_fields_ignored() -> None:
    data = json.dumps({"books": [BOOK | {"more": 1}, BOOK | {"id": "a"}], "more": 2}).encode()
    books = read_manifest(data)
    assert [book.id for book in books] == ["a", "gutenberg:84"]
    assert books[1].title == "Frankenstein"
    assert books[1].chunks.size == 7


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "BAD_MANIFEST"),
        ({}, "BAD_MANIFEST"),
        ({"books": 3}, "BAD_MANIFEST"),
        ({"books": ["x"]}, "BAD_MANIFEST"),
        ({"books": [{"id": "x"}]}, "BAD_MANIFEST"),
        ({"books": [BOOK | {"id": ""}]}, "BAD_MANIFEST"),
        ({"books": [BOOK | {"id": 84}]}, "BAD_MANIFEST"),
        ({"books": [BOOK | {"title": None}]}, "BAD_MANIFEST"),
        ({"books": [BOOK, BOOK]}, "BAD_MANIFEST"),
        ({"books": [BOOK | {"chunks": {"key": "x"}}]}, "BAD_REFERENCE"),
        ({"books": [BOOK | {"chunks": CHUNKS | {"key": "../x"}}]}, "BAD_REFERENCE"),
    ],
)
def test_what_is_no_manifest(value: Any, reason: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_manifest(json.dumps(value).encode())
    assert error.value.reason == reason


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="BAD_MANIFEST"):
        read_manifest(data)
