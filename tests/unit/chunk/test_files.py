import os
import time
from pathlib import Path

import pytest

from services.chunk.chunking_files import chunk_file
from services.chunk.rooms import prepare, room
from services.chunk.tables import read_chunks, write_chunks
from services.common.errors import Exhausted, InvalidInput


def test_a_text_becomes_a_file_of_chunks(tmp_path: Path) -> None:
    text = "\ufeffOne naïve line.\r\nAnd more.\n\n" * 40
    (tmp_path / "text").write_bytes(text.encode())
    counts = chunk_file(tmp_path / "text", tmp_path / "chunks", 300)
    chunks = list(read_chunks(tmp_path / "chunks", "x"))
    assert "".join(chunks).encode() == (tmp_path / "text").read_bytes()
    assert (counts.chunks, counts.characters) == (len(chunks), len(text))


def test_what_is_not_utf_8_is_no_clean_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"One na\xefve line.")
    with pytest.raises(InvalidInput, match="byte 6") as error:
        chunk_file(tmp_path / "text", tmp_path / "chunks", 300)
    assert error.value.reason == "BAD_REFERENCE"


def test_a_full_disk_is_told() -> None:
    with pytest.raises(Exhausted) as error:
        write_chunks(Path("/dev/full"), ["One.\n"])
    assert error.value.reason == "DISK_FULL"


def test_a_room_is_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    def fail() -> None:
        with room(tmp_path) as folder:
            (folder / "file").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_rooms_of_a_killed_service_are_removed_at_the_next_start(tmp_path: Path) -> None:
    work = tmp_path / "made" / "here"
    prepare(work)
    old, new = work / "call-old", work / "call-new"
    for path in (old, new, work / "other"):
        path.mkdir()
        (path / "file").write_text("x")
    long_ago = time.time() - 200_000
    for path in (old, work / "other"):
        os.utime(path, (long_ago, long_ago))
    prepare(work)
    assert sorted(path.name for path in work.iterdir()) == ["call-new", "other"]
