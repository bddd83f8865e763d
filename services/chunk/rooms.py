"""The folders that the service works in, one a call."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.common.writing import no_space_is_exhausted

_PREFIX = "call-"
_LEFT_SECONDS = 86400.0  # no call takes a day: what is as old was left by a service that was killed


def prepare(work_dir: Path) -> None:
    """Makes the folder of rooms and removes those that a killed service left in it.

    Raises:
        OSError: it cannot be made.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    for room in work_dir.glob(f"{_PREFIX}*"):
        try:
            age = time.time() - room.stat().st_mtime
        except FileNotFoundError:  # another service on the same folder was quicker
            continue
        if age > _LEFT_SECONDS:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def room(work_dir: Path) -> Iterator[Path]:
    """A folder for one call, removed at its end.

    Raises:
        Exhausted: `DISK_FULL`.
    """
    with no_space_is_exhausted():
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work_dir))
    try:
        yield folder
    finally:
        # A worker may still write where the call was cancelled; what it leaves goes at the next start.
        shutil.rmtree(folder, ignore_errors=True)
