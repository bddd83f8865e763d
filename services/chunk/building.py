"""Makes a dataset of chunked books: exact duplicates out, split by book, one parquet file a split.

Two passes over the chunks, so that memory holds a hash of each chunk and no text: the first finds the duplicates, and
with them the books that have anything left to be split; the second writes.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.chunk.figures import BookCount, Built, SplitCount
from services.chunk.splitting import held_out
from services.chunk.tables import DATASET, Writer, read_chunks
from services.common.errors import Refused

VERSION = 1
"""Of the dataset step: raised when the dataset of any books changes."""

TRAIN, TEST = "train", "test"
"""The splits. `datasets` knows the files by these names."""


@dataclass(frozen=True, slots=True)
class ChunkedBook:
    """A book's chunks on this disk, and what the dataset says of it."""

    id: str
    title: str
    author: str
    source: str
    path: Path
    """A file of `tables.CHUNKS`."""


def build(books: Sequence[ChunkedBook], target: Path, held_out_fraction: float) -> Built:
    """Writes a dataset.

    Of equal chunks the first is kept, in order of the books' ids and within a book. Rows are in the same order.

    Args:
        books: in any order.
        target: an empty folder, for one file a split.
        held_out_fraction: share of the books for the split `test`; see `held_out`.

    Returns:
        What is in the files.

    Raises:
        Refused: `NO_CHUNKS`: there is no chunk.
        InvalidInput: `BAD_MANIFEST`: a book's file is none of chunks.
        Exhausted: `DISK_FULL`.
    """
    books = sorted(books, key=lambda book: book.id)
    kept = _without_duplicates(books)
    counts = [BookCount(book.id, book.title) for book in books]
    filled = [book.id for book, keep in zip(books, kept, strict=True) if any(keep)]
    if not filled:
        raise Refused("NO_CHUNKS", f"the {len(books)} books have no chunk: there is nothing to train on")
    tests = held_out(filled, held_out_fraction)
    names = [TRAIN, TEST] if tests else [TRAIN]
    with ExitStack() as stack:
        writers = {name: stack.enter_context(Writer(target / f"{name}.parquet", DATASET)) for name in names}
        for book, keep, count in zip(books, kept, counts, strict=True):
            count.duplicates = keep.count(0)
            if any(keep):
                count.split = TEST if book.id in tests else TRAIN
                _write(book, keep, writers[count.split], count)
    return Built(VERSION, tuple(_split(name, counts) for name in names), tuple(counts))


def _without_duplicates(books: Sequence[ChunkedBook]) -> list[bytearray]:
    """For each book a byte a chunk: 1 where the chunk stays."""
    seen: set[bytes] = set()
    kept: list[bytearray] = []
    for book in books:
        keep = bytearray()
        for text in read_chunks(book.path, book.id):
            digest = hashlib.sha256(text.encode()).digest()
            keep.append(digest not in seen)
            seen.add(digest)
        kept.append(keep)
    return kept


def _write(book: ChunkedBook, keep: bytearray, writer: Writer, count: BookCount) -> None:
    for position, text in enumerate(read_chunks(book.path, book.id)):
        if not keep[position]:
            continue
        writer.write(
            {
                "text": text,
                "book_id": book.id,
                "title": book.title,
                "author": book.author,
                "source": book.source,
                "position": position,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
            }
        )
        count.rows += 1
        count.characters += len(text)


def _split(name: str, counts: Sequence[BookCount]) -> SplitCount:
    mine = [count for count in counts if count.split == name]
    return SplitCount(
        name,
        f"{name}.parquet",
        rows=sum(count.rows for count in mine),
        books=len(mine),
        characters=sum(count.characters for count in mine),
    )
