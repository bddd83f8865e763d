"""The training split as sequences of one length, packed so that no text is lost."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from services.common.writing import no_space_is_exhausted
from services.evaluation.texts import BOOK, TEXT, books, parquet_rows, token_ids, windows
from services.jobs.exits import BadConfiguration

_SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32()))])
_SEQUENCES = 256  # written at a time


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is trained on."""

    sequences: Dataset
    """One column, `input_ids`. Read from disk as they are needed."""
    books: int
    """Books in it."""
    tokens: int
    """Tokens of the books, with the token that ends each."""


def check_split(path: Path) -> None:
    """Checks that a file is a split of a dataset with something in it.

    Raises:
        BadConfiguration: `BAD_DATASET`.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowInvalid as error:
        raise BadConfiguration("BAD_DATASET", f"{path.name} is no parquet file: build the dataset again") from error
    strings = (pa.string(), pa.large_string())
    missing = [n for n in (TEXT, BOOK) if n not in schema.names or schema.field(n).type not in strings]
    if missing:
        raise BadConfiguration(
            "BAD_DATASET",
            f"{path.name} has no column of strings {', '.join(map(repr, missing))}; it has {', '.join(schema.names)}",
            field="dataset",
        )
    if rows == 0:
        raise BadConfiguration("BAD_DATASET", f"{path.name} is empty: there is nothing to train on", field="dataset")


def load_sequences(split: Path, tokenizer: Any, length: int, start: int | None, work: Path) -> TrainingData:
    """Tokenizes and packs a split.

    The books follow each other as one stream, each with the token that ends a text behind it (not behind each chunk:
    a book does not end there), and the stream is cut every `length` tokens. This is TRL's packing `wrapped`; its own
    packs a thousand rows at a time and leaves a short sequence after each.

    Args:
        split: the parquet file, checked.
        tokenizer: of the base model, with a token that ends a text.
        length: tokens of a sequence; the last one may be shorter.
        start: the id that the model needs at the start of each sequence, None where it needs none.
        work: a folder for the file of sequences.

    Raises:
        BadConfiguration: `BAD_DATASET`: there is no text in it.
        Exhausted: `DISK_FULL`.
    """
    count = _Count()
    path = work / "sequences.arrow"
    with no_space_is_exhausted():
        _write(path, pack(count.over(_tokenized(split, tokenizer)), length, start))
    if count.tokens <= count.books:
        raise BadConfiguration("BAD_DATASET", f"{split.name} has no text to train on", field="dataset")
    return TrainingData(Dataset.from_file(str(path)), count.books, count.tokens)


def pack(texts: Iterable[list[int]], length: int, start: int | None) -> Iterator[list[int]]:
    """Cuts a stream of texts into sequences, as `services.evaluation.texts.windows` does their sum."""
    head = [] if start is None else [start]
    room = length - len(head)
    rest: list[int] = []
    for ids in texts:
        rest += ids
        at = 0
        # What is left over is at least two tokens, for `windows` to end well.
        while len(rest) - at > room + 1:
            yield head + rest[at : at + room]
            at += room
        del rest[:at]
    yield from windows(rest, length, start)


def _tokenized(split: Path, tokenizer: Any) -> Iterator[list[int]]:
    for book in books(parquet_rows(split)):
        yield [*token_ids(book, tokenizer), tokenizer.eos_token_id]


@dataclass(slots=True)
class _Count:
    books: int = 0
    tokens: int = 0

    def over(self, texts: Iterable[list[int]]) -> Iterator[list[int]]:
        for ids in texts:
            self.books += 1
            self.tokens += len(ids)
            yield ids


def _write(path: Path, sequences: Iterable[list[int]]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        some: list[list[int]] = []
        for sequence in sequences:
            some.append(sequence)
            if len(some) == _SEQUENCES:
                writer.write(pa.record_batch([pa.array(some, _SCHEMA.field(0).type)], _SCHEMA))
                some = []
        writer.write(pa.record_batch([pa.array(some, _SCHEMA.field(0).type)], _SCHEMA))
