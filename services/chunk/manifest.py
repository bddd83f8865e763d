"""The list of books that a dataset is made of, as the gateway writes it to `manifests/<sha256>.json`.

    {"books": [{"id": "gutenberg:84", "title": "Frankenstein", "author": "Shelley, Mary", "source": "https://…",
                "chunks": {"key": "chunks/….parquet", "sha256": "…", "size": 123}}, …]}

`id` names the book in every dataset (it decides the split); title, author and source may be empty. Order changes
nothing. Fields that are not named here are ignored.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from services.common.errors import InvalidInput
from services.common.objects import Reference


@dataclass(frozen=True, slots=True)
class Book:
    """A chunked book and what the dataset says of it."""

    id: str
    """Its identity: the same book has the same one in every run."""
    title: str
    author: str
    """All of them, as one text."""
    source: str
    """Where it came from, for people."""
    chunks: Reference
    """What ChunkBook gave."""


def read_manifest(data: bytes) -> tuple[Book, ...]:
    """Reads the books of a manifest.

    Args:
        data: the object's bytes.

    Returns:
        The books, sorted by id.

    Raises:
        InvalidInput: `BAD_MANIFEST` for what is none or names a book twice, `BAD_REFERENCE` for a book's chunks.
    """
    try:
        rows = json.loads(data)["books"]
        books = sorted((_book(row) for row in rows), key=lambda book: book.id)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(
            "BAD_MANIFEST",
            f'the manifest is not {{"books": [{{"id", "title", "author", "source", "chunks"}}]}}: {error}',
        ) from error
    for one, two in pairwise(books):
        if one.id == two.id:
            raise InvalidInput("BAD_MANIFEST", f"the manifest has the book {one.id!r} twice: name each book once")
    return tuple(books)


def _book(row: Any) -> Book:
    texts = {name: row[name] for name in ("id", "title", "author", "source")}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise TypeError(f"{wrong[0]} {texts[wrong[0]]!r} of a book is no text")
    if not texts["id"]:
        raise ValueError("the id of a book is empty")
    return Book(**texts, chunks=Reference.from_json(row["chunks"]))
