import os
from pathlib import Path

import pytest

from services.common.errors import BookmillError, Exhausted, Refused, Unavailable
from services.ingest.workroom import Workroom

AWAY = Unavailable("SOURCE_UNAVAILABLE", "away")
DECLINED = Refused("ONLY_PICKLES", "no")


def fail(rooms: Workroom, name: str, error: BookmillError) -> Path:
    """Leaves half a file in a room and fails; returns where it was."""
    try:
        with rooms.room(name) as room:
            (room / "file").write_bytes(b"half")
            raise error
    except type(error):
        return room


def test_what_succeeds_leaves_nothing(tmp_path: Path) -> None:
    with Workroom(tmp_path / "work", 3600).room("hf:a/b@c") as room:
        (room / "file").write_bytes(b"x")
    assert list((tmp_path / "work").iterdir()) == []


def test_what_fails_is_gone_on_with_by_the_next_process(tmp_path: Path) -> None:
    fail(Workroom(tmp_path, 3600), "hf:a/b@c", AWAY)
    with Workroom(tmp_path, 3600).room("hf:a/b@c") as room:
        assert (room / "file").read_bytes() == b"half"


def test_what_is_declined_is_not_kept(tmp_path: Path) -> None:
    fail(Workroom(tmp_path, 3600), "hf:a/b@c", DECLINED)
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_came_back_to_is_cleared(tmp_path: Path) -> None:
    rooms = Workroom(tmp_path, 3600)
    left = {}
    for age in (7200, 60):
        room = fail(rooms, f"{age} s ago", AWAY)
        moment = room.stat().st_mtime - age
        for path in (room / "file", room):
            os.utime(path, (moment, moment))
        left[age] = room
    with rooms.room("another"):
        assert {age: room.exists() for age, room in left.items()} == {7200: False, 60: True}


def test_one_caller_has_a_room_and_no_other_clears_it(tmp_path: Path) -> None:
    rooms = Workroom(tmp_path, 0)
    with rooms.room("x") as room:
        with rooms.room("y"):
            assert room.exists()
        with pytest.raises(RuntimeError):
            rooms.room("x").__enter__()


def test_a_disk_without_room_is_told_before_it_is_full(tmp_path: Path) -> None:
    rooms = Workroom(tmp_path, 0)
    rooms.check_space(1)
    with pytest.raises(Exhausted, match="BOOKMILL_INGEST_WORK_DIR") as caught:
        rooms.check_space(1 << 60)
    assert caught.value.reason == "DISK_FULL"
