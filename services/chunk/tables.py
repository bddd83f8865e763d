"""The parquet files of chunks and datasets. Equal rows give equal bytes: no time, name or path is in a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from services.common.errors import InvalidInput
from services.common.writing import no_space_is_exhausted

CHUNKS = pa.schema([("position", pa.int32()), ("text", pa.string())])
"""A book's chunks in order; `position` counts from 0."""

DATASET = pa.schema(
    [
        ("text", pa.string()),
        ("book_id", pa.string()),
        ("title", pa.string()),
        ("author", pa.string()),
        ("source", pa.string()),
        ("position", pa.int32()),
        ("sha256", pa.string()),
    ]
)
"""A dataset's rows. `position` is the chunk's in its book; `sha256` is of the text in UTF-8."""

_REPEATED = ("book_id", "title", "author", "source")  # the same in all rows of a book: one dictionary entry each

_ROW_GROUP = 8 << 20  # characters: what is held in memory of a file that is written, and read by one who streams it


class Writer:
    """Writes a parquet file in row groups of bounded size. A context manager; what it left open is no file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        # Level 3 is the place: 9 takes six times as long for a few per cent. Statistics of texts would repeat them.
        with no_space_is_exhausted():
            self._file = pq.ParquetWriter(
                path,
                schema,
                compression="zstd",
                compression_level=3,
                use_dictionary=[name for name in schema.names if name in _REPEATED],
                write_statistics=[name for name in schema.names if name in ("book_id", "position")],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with no_space_is_exhausted():
            if kind is None:
                self._flush()
            self._file.close()

    def write(self, row: dict[str, Any]) -> None:
        """Adds a row.

        Raises:
            Exhausted: `DISK_FULL`.
        """
        self._rows.append(row)
        self._characters += len(row["text"])
        if self._characters >= _ROW_GROUP:
            with no_space_is_exhausted():
                self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, self._schema), row_group_size=len(self._rows))
        self._rows, self._characters = [], 0


def write_chunks(path: Path, chunks: Iterable[str]) -> None:
    """Writes a book's chunks.

    Raises:
        Exhausted: `DISK_FULL`.
    """
    with Writer(path, CHUNKS) as writer:
        for position, text in enumerate(chunks):
            writer.write({"position": position, "text": text})


def read_chunks(path: Path, book: str) -> Iterator[str]:
    """Gives a book's chunks in order.

    Args:
        path: what `write_chunks` wrote.
        book: its id, for the error.

    Raises:
        InvalidInput: `BAD_MANIFEST`: the file is none of chunks.
    """
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(CHUNKS):
                raise _no_chunks(book)
            for batch in file.iter_batches(batch_size=256, columns=["text"]):
                yield from batch.column(0).to_pylist()
    except pa.ArrowInvalid as error:
        raise _no_chunks(book) from error


def _no_chunks(book: str) -> InvalidInput:
    return InvalidInput("BAD_MANIFEST", f"the chunks of the book {book!r} are no file of ChunkBook: chunk it again")
