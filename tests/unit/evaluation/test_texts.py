"""From rows to ids."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.evaluation.texts import books, held_out_tokens, parquet_rows, start_token


class Characters:
    """A tokenizer of one id a character."""

    bos_token_id: int | None = None
    adds_start = False

    def __call__(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> dict[str, list[int]]:
        head = [1] if add_special_tokens and self.adds_start else []
        return {"input_ids": head + [ord(character) for character in text]}


def rows(*chunks: tuple[str, str]) -> list[dict[str, str]]:
    return [{"book_id": book, "text": text} for book, text in chunks]


def test_a_books_rows_are_joined() -> None:
    assert list(books(rows(("1", "ab"), ("1", "c"), ("2", "d"), ("2", "e")))) == ["abc", "de"]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (2, "ad"),
        (4, "abde"),
        (5, "abdef"),
        (6, "abcdef"),
        (7, "abcdefg"),  # the first book is too short for its share
        (100, "abcdefghi"),
        (1, "d"),
    ],
)
def test_each_book_gives_its_beginning(limit: int, expected: str) -> None:
    split = rows(("1", "ab"), ("1", "c"), ("2", "def"), ("2", "ghi"))
    assert held_out_tokens(split, Characters(), limit) == [ord(character) for character in expected]


def test_a_file_gives_what_its_rows_give(tmp_path: Path) -> None:
    split = rows(*((str(number // 3), f"text {number}. ") for number in range(700)))
    pq.write_table(pa.Table.from_pylist(split), tmp_path / "test.parquet")
    assert list(parquet_rows(tmp_path / "test.parquet")) == [
        {"text": r["text"], "book_id": r["book_id"]} for r in split
    ]
    assert held_out_tokens(tmp_path / "test.parquet", Characters(), 500) == held_out_tokens(split, Characters(), 500)


@pytest.mark.parametrize(("token", "adds", "expected"), [(None, False, None), (1, False, None), (1, True, 1)])
def test_the_start_is_what_the_tokenizer_sets(token: int | None, adds: bool, expected: int | None) -> None:
    tokenizer = Characters()
    tokenizer.bos_token_id, tokenizer.adds_start = token, adds
    assert start_token(tokenizer) == expected
