import hashlib
import random
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from services.chunk.building import ChunkedBook, build
from services.chunk.figures import Built
from services.chunk.splitting import held_out
from services.chunk.tables import DATASET, Writer, read_chunks, write_chunks
from services.common.errors import InvalidInput, Refused

BOOKS = {
    "gutenberg:1": ["One is a bell.\n\n", "The same chunk.\n"],
    "gutenberg:2": ["Two is a lamp.\n\n", "Twice here.\n", "Twice here.\n"],
    "gutenberg:3": ["Three is a house.\n\n", "The same chunk.\n", "And no more.\n"],
    "upload:4": ["The same chunk.\n"],
    "upload:5": ["Five is a clock.\n"],
}


def chunked(folder: Path, books: dict[str, list[str]]) -> list[ChunkedBook]:
    made = []
    for number, (book, chunks) in enumerate(books.items()):
        path = folder / f"{number}.parquet"
        write_chunks(path, chunks)
        made.append(ChunkedBook(book, f"Title of {book}", "Tarrant, Maud", f"https://example.org/{book}", path))
    return made


def built(folder: Path, books: dict[str, list[str]], fraction: float = 0.2, seed: int = 0) -> Built:
    rows = chunked(folder, books)
    random.Random(seed).shuffle(rows)
    target = folder / "dataset"
    target.mkdir(exist_ok=True)
    return build(rows, target, fraction)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_rows_are_what_they_say(tmp_path: Path) -> None:
    made = built(tmp_path, BOOKS)
    rows = [row for split in made.splits for row in pq.read_table(tmp_path / "dataset" / split.file).to_pylist()]
    by_book = {book: [row for row in rows if row["book_id"] == book] for book in BOOKS}
    assert [row["text"] for row in by_book["gutenberg:1"]] == BOOKS["gutenberg:1"]
    assert [(row["position"], row["text"]) for row in by_book["gutenberg:2"]] == [
        (0, "Two is a lamp.\n\n"),
        (1, "Twice here.\n"),
    ]
    assert [row["position"] for row in by_book["gutenberg:3"]] == [0, 2]
    assert by_book["upload:4"] == []
    for row in rows:
        assert list(row) == ["text", "book_id", "title", "author", "source", "position", "sha256"]
        assert row["sha256"] == hashlib.sha256(row["text"].encode()).hexdigest()
        assert row["title"] == f"Title of {row['book_id']}"
        assert row["source"] == f"https://example.org/{row['book_id']}"
    assert made.duplicates == 3
    assert [(b.id, b.rows, b.duplicates) for b in made.books] == [
        ("gutenberg:1", 2, 0),
        ("gutenberg:2", 2, 1),
        ("gutenberg:3", 2, 1),
        ("upload:4", 0, 1),
        ("upload:5", 1, 0),
    ]
    assert next(b for b in made.books if b.id == "upload:4").split is None
    assert sum(split.rows for split in made.splits) == len(rows) == 7
    assert sum(split.books for split in made.splits) == 4
    assert sum(split.characters for split in made.splits) == sum(len(row["text"]) for row in rows)


def test_a_book_is_in_one_split(tmp_path: Path) -> None:
    books = {f"gutenberg:{n}": [f"Chunk {n}.{m}\n" for m in range(4)] for n in range(40)}
    made = built(tmp_path, books, 0.25)
    found = {s.name: set(pq.read_table(tmp_path / "dataset" / s.file)["book_id"].to_pylist()) for s in made.splits}
    assert len(found["test"]) == 10
    assert len(found["train"]) == 30
    assert not found["test"] & found["train"]


def test_order_changes_nothing_and_equal_books_give_equal_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert built(one, BOOKS, seed=1) == built(two, dict(reversed(BOOKS.items())), seed=2)
    assert digests(one / "dataset") == digests(two / "dataset")
    assert built(one, BOOKS | {"upload:5": ["Five was a clock.\n"]})
    assert digests(one / "dataset") != digests(two / "dataset")


def test_one_book_is_trained_on_and_nothing_is_held_out(tmp_path: Path) -> None:
    made = built(tmp_path, {"upload:1": ["One.\n"], "upload:2": ["One.\n"]})
    assert [split.name for split in made.splits] == ["train"]
    assert list(digests(tmp_path / "dataset")) == ["train.parquet"]


def test_two_books_give_one_to_each_split(tmp_path: Path) -> None:
    made = built(tmp_path, {"upload:1": ["One.\n"], "upload:2": ["Two.\n"]}, 0.01)
    assert [(split.name, split.books) for split in made.splits] == [("train", 1), ("test", 1)]


@pytest.mark.parametrize("books", [{}, {"upload:1": []}])
def test_no_chunk_at_all_is_refused(tmp_path: Path, books: dict[str, list[str]]) -> None:
    with pytest.raises(Refused) as refusal:
        built(tmp_path, books)
    assert refusal.value.reason == "NO_CHUNKS"


def test_a_file_that_is_none_of_chunks(tmp_path: Path) -> None:
    other, wrong = tmp_path / "other", tmp_path / "wrong"
    other.write_bytes(b"PAR1 no table PAR1")
    with Writer(wrong, DATASET):
        pass
    for path in (other, wrong):
        with pytest.raises(InvalidInput, match="'upload:1'") as error:
            list(read_chunks(path, "upload:1"))
        assert error.value.reason == "BAD_MANIFEST"


def test_datasets_loads_the_folder_as_it_is(tmp_path: Path) -> None:
    made = built(tmp_path, BOOKS)
    loaded = datasets.load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {split.name: split.rows for split in made.splits}
    assert loaded["train"].column_names == DATASET.names
    assert loaded["train"].features["position"].dtype == "int32"


def test_a_file_has_row_groups_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "chunks.parquet"
    chunks = [f"{n:07}" * 1_000 for n in range(3_000)]  # 21 million characters
    write_chunks(path, chunks)
    about = pq.read_metadata(path)
    assert about.num_row_groups == 3
    assert about.row_group(0).column(1).compression == "ZSTD"
    assert list(read_chunks(path, "x")) == chunks


@pytest.mark.parametrize(
    ("count", "fraction", "expected"),
    [
        (0, 0.1, 0),
        (1, 0.5, 0),
        (2, 0.01, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (3, 1.0, 2),
        (10, 0.1, 1),
        (24, 0.1, 2),
        (25, 0.1, 3),
    ],
)
def test_how_many_books_are_held_out(count: int, fraction: float, expected: int) -> None:
    assert len(held_out([f"gutenberg:{n}" for n in range(count)], fraction)) == expected


def test_a_book_that_is_added_moves_at_most_one_other() -> None:
    books = [f"gutenberg:{n}" for n in range(60)]
    for count in range(2, 60):
        before, after = held_out(books[:count], 0.2), held_out(books[: count + 1], 0.2)
        assert len((before ^ after) - {books[count]}) <= 1


def test_the_split_depends_on_the_book_s_identity_alone() -> None:
    assert held_out(["gutenberg:84", "gutenberg:345", "upload:0"], 0.1) == {"gutenberg:84"}
    assert held_out(["upload:0", "gutenberg:345", "gutenberg:84"], 0.1) == {"gutenberg:84"}
