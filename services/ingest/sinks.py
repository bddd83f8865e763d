"""Where a download's bytes go. A sink knows how far it is, so that a broken download goes on from there."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from services.common.errors import Exhausted, Refused


class Sink(Protocol):
    """Takes bytes in order. `size` bytes are in it; `restart` forgets them."""

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        ...

    def write(self, data: bytes) -> None:
        """Takes the next bytes. Raises Refused TOO_LARGE above the sink's limit."""
        ...

    def expect(self, size: int) -> None:
        """Is told how large the whole will be. Raises Refused TOO_LARGE."""
        ...

    def restart(self) -> None:
        """Forgets what was taken."""
        ...


class Memory:
    """A sink in memory, for what is small."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self._what, self._data = limit, what, bytearray()

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return len(self._data)

    def write(self, data: bytes) -> None:
        """Takes the next bytes. Raises Refused TOO_LARGE."""
        check_size(self.size + len(data), self._limit, self._what)
        self._data += data

    def expect(self, size: int) -> None:
        """Raises Refused TOO_LARGE where the whole will be."""
        check_size(size, self._limit, self._what)

    def restart(self) -> None:
        """Forgets what was taken."""
        self._data.clear()

    def content(self) -> bytes:
        """Returns everything taken."""
        return bytes(self._data)


class Partial:
    """A sink in a file that outlives the process: what an earlier one left in it is kept and gone on from."""

    def __init__(self, path: Path, limit: int, what: str, on_bytes: Callable[[int], None]) -> None:
        """`on_bytes` is told the size whenever it changes."""
        self._path, self._limit, self._what, self._on_bytes = path, limit, what, on_bytes
        # Unbuffered: what was taken is in the file, whatever happens next.
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        if self._size > limit:
            self.restart()
        on_bytes(self._size)

    @property
    def size(self) -> int:
        """Bytes taken so far, those of an earlier process included."""
        return self._size

    def write(self, data: bytes) -> None:
        """Takes the next bytes. Raises Refused TOO_LARGE, and Exhausted DISK_FULL where they do not fit."""
        check_size(self._size + len(data), self._limit, self._what)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise Exhausted("DISK_FULL", f"{self._what} does not fit into the work folder: {error.strerror}") from error
        self._size += len(data)
        self._on_bytes(self._size)

    def expect(self, size: int) -> None:
        """Raises Refused TOO_LARGE where the whole will be."""
        check_size(size, self._limit, self._what)

    def restart(self) -> None:
        """Forgets what was taken."""
        self._file.truncate(0)
        self._size = 0
        self._on_bytes(0)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def check_size(size: int, limit: int, what: str) -> None:
    """Raises Refused TOO_LARGE where `size` bytes are more than `limit`."""
    if size > limit:
        raise Refused("TOO_LARGE", f"{what} is larger than the limit of {limit:,} bytes", limit=str(limit))
