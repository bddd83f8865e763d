"""Outputs pinned byte for byte: who changes one raises the step's version, or results recorded before would be wrong.

A new release of pyarrow changes them too, and raises both versions.
"""

import hashlib
from pathlib import Path

import pytest

from deploy.examples.catalogue import TALES
from services.chunk import building, chunking
from services.chunk.building import ChunkedBook, build
from services.chunk.chunking import chunk
from services.chunk.tables import write_chunks

CHUNKS = {
    (1, "900001-0.txt", 7000): "f40f2ca917bce485",
    (1, "900002-0.txt", 1000): "f135c32221ed8dd2",
    (1, "900009.txt", 7000): "1c888eaea3aba069",
    (1, "900009.txt", 200): "183ea6ae2a5d3e29",
}
DATASET = {(1, "train"): "33633f8cf08989fe", (1, "test"): "3f50c99121ea1786"}


def text(name: str) -> str:
    return (TALES / name).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "limit"), [(name, limit) for _, name, limit in CHUNKS])
def test_chunks(tmp_path: Path, name: str, limit: int) -> None:
    write_chunks(tmp_path / "chunks", chunk(text(name), limit))
    assert digest(tmp_path / "chunks") == CHUNKS[chunking.VERSION, name, limit]


def test_dataset(tmp_path: Path) -> None:
    books = []
    for name in ("900001-0.txt", "900002-0.txt", "900005.txt", "900009.txt"):
        path = tmp_path / name
        write_chunks(path, chunk(text(name)))
        books.append(ChunkedBook(f"gutenberg:{name[:6]}", name, "An Author", "https://example.org", path))
    (tmp_path / "dataset").mkdir()
    build(books, tmp_path / "dataset", 0.1)
    made = {split: digest(tmp_path / "dataset" / f"{split}.parquet") for split in ("train", "test")}
    assert made == {split: DATASET[building.VERSION, split] for split in made}
