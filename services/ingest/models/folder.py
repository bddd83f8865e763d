"""`file:FOLDER`: a model on a disk that the service sees, below the folders that a setting names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.canonical import digest
from services.common.errors import NotFound
from services.common.storage import hash_file
from services.ingest.choosing import CARD, is_wanted
from services.ingest.model_source import ModelFile, OnBytes
from services.ingest.models.card import licence_of
from services.ingest.sources.files import below_roots, unreadable


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders below `roots`."""

    roots: tuple[Path, ...]

    def pinned(self, address: str) -> str | None:  # noqa: ARG002 (a source's form)
        """Returns None: what is in a folder may change."""
        return None

    @asynccontextmanager
    async def open(self, address: str) -> "AsyncIterator[LocalFolder]":
        """Finds the folder. Raises InvalidInput BAD_URI, PermissionDenied OUTSIDE_ROOTS, NotFound NO_SUCH_MODEL."""
        yield await asyncio.to_thread(self._open, address)

    def _open(self, address: str) -> "LocalFolder":
        path = below_roots(address, self.roots, "NO_SUCH_MODEL")
        if not path.is_dir():
            raise NotFound("NO_SUCH_MODEL", f"'file:{address}' is not a folder; give the one that config.json is in")
        try:
            return read_folder(path, f"file:{path.name}", tuple(root.resolve() for root in self.roots))
        except OSError as error:
            raise unreadable(address, error, "NO_SUCH_MODEL") from error


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A model's folder on this disk."""

    path: Path
    resolved_uri: str
    identity: str
    licence: str
    files: tuple[ModelFile, ...]
    repository: str = ""

    async def digest(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> str:  # noqa: ARG002 (a folder's form)
        """Returns what was read when the folder was opened."""
        raise AssertionError(f"{file.name} came without a SHA-256")

    async def bring(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> Path:  # noqa: ARG002 (a folder's form)
        """Returns where the file lies: nothing is copied."""
        return self.path / file.name


def read_folder(path: Path, uri: str, inside: tuple[Path, ...]) -> LocalFolder:
    """Returns a folder with the SHA-256 of each file that could be brought in.

    The identity is the files' content alone. A link that leads out of `inside` is not a file of it (a link within it
    is one: caches are made of them). Raises OSError.
    """
    found = sorted(file for file in path.iterdir() if file.is_file() and _within(file, inside))
    files = tuple(ModelFile(f.name, f.stat().st_size, hash_file(f)[0] if is_wanted(f.name) else "") for f in found)
    content = digest([[f.name, f.sha256] for f in files if f.sha256])
    card = path / CARD
    text = card.read_bytes()[:_CARD].decode("utf-8", "replace") if card in found else ""
    return LocalFolder(path, uri, f"{uri}#{content}", licence_of(text), files)


def _within(file: Path, inside: tuple[Path, ...]) -> bool:
    real = file.resolve()
    return any(real.is_relative_to(root) for root in inside)


_CARD = 1 << 20
