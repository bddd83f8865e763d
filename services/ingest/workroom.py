"""Folders on this disk for what is on its way into the store, kept after a failure so that it can go on."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.common.errors import Exhausted, Refused


class Workroom:
    """A folder with one subfolder for each thing in progress."""

    def __init__(self, folder: Path, keep_seconds: float) -> None:
        """What failed is kept for `keep_seconds` since its last byte. Made if needed; raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._keep, self._busy = folder, keep_seconds, set[str]()

    @contextmanager
    def room(self, identity: str) -> Iterator[Path]:
        """Gives the subfolder of one thing, with what an earlier attempt left; it goes when the work succeeds.

        One caller at a time may have it. Rooms that nobody came back to are cleared first.
        """
        self._clear()
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        if name in self._busy:
            raise RuntimeError(f"the room of {identity!r} is taken")
        room = self._folder / name
        room.mkdir(exist_ok=True)
        self._busy.add(name)
        try:
            yield room
            shutil.rmtree(room, ignore_errors=True)
        except Refused:
            # Declined for good: there is nothing to go on with.
            shutil.rmtree(room, ignore_errors=True)
            raise
        finally:
            self._busy.discard(name)

    def check_space(self, size: int) -> None:
        """Raises Exhausted DISK_FULL where `size` more bytes do not fit."""
        free = shutil.disk_usage(self._folder).free
        if free < size:
            raise Exhausted(
                "DISK_FULL",
                f"the work folder has {free:,} bytes free and the largest file {size:,}; "
                "give it room, or set BOOKMILL_INGEST_WORK_DIR to a larger disk",
            )

    def _clear(self) -> None:
        oldest = time.time() - self._keep
        for room in self._folder.iterdir():
            if room.is_dir() and room.name not in self._busy and _last_change(room) < oldest:
                shutil.rmtree(room, ignore_errors=True)


def _last_change(room: Path) -> float:
    return max((path.stat().st_mtime for path in (room, *room.iterdir())), default=0.0)
