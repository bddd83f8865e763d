"""From a dataset's rows to token ids: the same ids for training, for perplexity here and in llama.cpp."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet

TEXT = "text"
"""Column of a row's text; a book's rows, joined, are the book."""
BOOK = "book_id"
"""Column that says which book a row is of. A book's rows lie together, in order."""

_ROWS = 256  # read at a time: a row is some 7,000 characters, so that this is under 10 MB


def books(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Joins the rows of each book, in the order of the rows.

    Chunks end in the middle of a book: put together again, no sentence is cut and a tokenizer sees the text as
    it was written.
    """
    for _, chunks in groupby(rows, key=lambda row: row[BOOK]):
        yield "".join(row[TEXT] for row in chunks)


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the texts of a parquet file row by row, in bounded memory."""
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=[TEXT, BOOK]):
            yield from batch.to_pylist()


def held_out_tokens(rows: Path | Iterable[Mapping[str, Any]], tokenizer: Any, limit: int) -> list[int]:
    """Gives the ids that perplexity is measured on.

    Each book gives its beginning, an equal share of `limit`; what short books leave unused is given to those after
    them. No special token is among the ids: `windows` sets what a model needs at the start.

    Args:
        rows: the held-out split, as rows or as its parquet file.
        tokenizer: of transformers.
        limit: ids at the most.

    Returns:
        The ids; the same for the same split, tokenizer and limit.
    """
    texts = list(books(parquet_rows(rows) if isinstance(rows, Path) else rows))
    ids: list[int] = []
    for index, text in enumerate(texts):
        share = (limit - len(ids)) // (len(texts) - index)
        if share:
            ids += _beginning(text, tokenizer, share)
    return ids


def token_ids(text: str, tokenizer: Any) -> list[int]:
    """Gives a text's ids, without special tokens."""
    # `verbose` would warn that a book is longer than the model's context; it is cut later.
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def start_token(tokenizer: Any) -> int | None:
    """Gives the id that this tokenizer sets before a text (BOS); None where it sets none.

    llama.cpp adds the same where the GGUF says so; models that were trained with it are far off without it.
    """
    start: int | None = tokenizer.bos_token_id
    ids = tokenizer("a")["input_ids"]
    return start if start is not None and ids[:1] == [start] else None


def windows(ids: list[int], length: int, start: int | None = None) -> Iterator[list[int]]:
    """Cuts ids into sequences of at most `length`; every id is in exactly one.

    Args:
        ids: what to cut.
        length: ids of a sequence, `start` included; at least 3.
        start: an id to set before each sequence, where the model needs one.

    Yields:
        Sequences of `length` ids, the last one shorter. None holds a single id, which nothing could be predicted
        from: the one before it gives one up.
    """
    head = [] if start is None else [start]
    room = length - len(head)
    at = 0
    while at < len(ids):
        left = len(ids) - at
        size = room - 1 if left == room + 1 and not head else min(room, left)
        yield head + ids[at : at + size]
        at += size


def _beginning(text: str, tokenizer: Any, count: int) -> list[int]:
    """Gives the first ids of a text, without the work of tokenizing all of it."""
    # 16 characters a token are more than any language needs; where not, the text is taken whole.
    ids = token_ids(text[: 16 * count], tokenizer)
    return (ids if len(ids) > count else token_ids(text, tokenizer))[:count]
