"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.common.errors import Exhausted


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file for writing beside `path` and moves it there at the end; an error leaves nothing.

    Args:
        path: the file to make or replace; its folder is made if needed.

    Raises:
        Exhausted: `DISK_FULL`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with no_space_is_exhausted():
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def no_space_is_exhausted() -> Iterator[None]:
    """Turns "no space left" into `Exhausted`.

    Raises:
        Exhausted: `DISK_FULL`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Exhausted("DISK_FULL", f"no space left on the disk of {error.filename or 'a file'}") from error
        raise
