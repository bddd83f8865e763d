"""Chunks the text in one file into another: what a worker process does."""

from dataclasses import dataclass
from pathlib import Path

from services.chunk.chunking import chunk
from services.chunk.tables import write_chunks
from services.common.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ChunkedFile:
    """What was written."""

    chunks: int
    characters: int


def chunk_file(source: Path, target: Path, limit: int) -> ChunkedFile:
    """Cuts a clean text.

    Args:
        source: UTF-8.
        target: the parquet file of chunks to make.
        limit: characters of a chunk at the most.

    Returns:
        Counts.

    Raises:
        Refused: as `chunk`.
        InvalidInput: `BAD_REFERENCE`: the bytes are not UTF-8, so that the object is no clean text.
        Exhausted: `DISK_FULL`.
    """
    try:
        text = source.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            "BAD_REFERENCE", f"the object is no text of CleanBook: byte {error.start} is not UTF-8", field="text"
        ) from error
    chunks = chunk(text, limit)
    write_chunks(target, chunks)
    return ChunkedFile(len(chunks), len(text))
