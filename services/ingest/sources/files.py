"""`file:PATH`: a text on a disk that the service sees, below the folders that a setting names."""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from services.common.errors import BookmillError, InvalidInput, NotFound, PermissionDenied
from services.ingest.fetching import Body
from services.ingest.sinks import check_size


@dataclass(frozen=True, slots=True)
class Files:
    """Files below `roots`."""

    roots: tuple[Path, ...]
    limit: int

    async def identity(self, address: str) -> str:
        """Returns the file's name and the SHA-256 of its content: neither its folder nor its age matter."""
        path, raw = await asyncio.to_thread(self._read, address)
        return f"file:{path.name}#{hashlib.sha256(raw).hexdigest()}"

    async def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:  # noqa: ARG002 (a source's form)
        """Yields the file. Raises InvalidInput BAD_URI, PermissionDenied OUTSIDE_ROOTS, NotFound, Refused
        TOO_LARGE."""
        path, raw = await asyncio.to_thread(self._read, address)
        yield Body(raw, f"file:{path.name}")

    def _read(self, address: str) -> tuple[Path, bytes]:
        path = below_roots(address, self.roots, "NO_SUCH_BOOK")
        # The path has no link left in it. One put in its place since then is not followed, and nothing is
        # waited for where it became a pipe.
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise NotFound("NO_SUCH_BOOK", f"'file:{address}' is not a file")
                raw = file.read(self.limit + 1)
        except OSError as error:
            raise unreadable(address, error, "NO_SUCH_BOOK") from error
        check_size(len(raw), self.limit, f"'file:{address}'")
        return path, raw


def below_roots(address: str, roots: tuple[Path, ...], missing: str) -> Path:
    """Returns the path that `address` leads to, links resolved. It exists.

    A relative path is looked for below each root in turn. Raises InvalidInput BAD_URI, PermissionDenied
    OUTSIDE_ROOTS, NotFound with the reason `missing`.
    """
    text = unquote(address.removeprefix("//")) if address.startswith("//") else address
    if not text or "\0" in text:
        raise InvalidInput("BAD_URI", f"'file:{address}' is not of the form file:PATH")
    try:
        inside = [path for root in roots if (path := (root / text).resolve()).is_relative_to(root.resolve())]
    except (OSError, RuntimeError) as error:
        raise InvalidInput("BAD_URI", f"'file:{address}' does not lead anywhere: {error}") from error
    if not inside:
        names = ", ".join(str(root) for root in roots) or "none"
        raise PermissionDenied(
            "OUTSIDE_ROOTS", f"'file:{address}' is not below a folder that may be read (BOOKMILL_INGEST_ROOTS: {names})"
        )
    found = next((path for path in inside if path.exists()), None)
    if found is None:
        raise NotFound(missing, f"'file:{address}' does not exist")
    return found


def unreadable(address: str, error: OSError, missing: str) -> BookmillError:
    """Returns the error for a file that exists and cannot be read."""
    if isinstance(error, PermissionError):
        return PermissionDenied("OUTSIDE_ROOTS", f"the service may not read 'file:{address}': {error.strerror}")
    return NotFound(missing, f"'file:{address}' cannot be read: {error.strerror}")
