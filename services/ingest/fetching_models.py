"""Brings a base model into the store: choose its files, name the folder by their digests, store one after the other.

What is in the store already is not brought again: a model that is there whole costs a look, one that was begun goes
on at the file, and inside the file, where it stopped.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from services.common.errors import Corrupt, Refused
from services.common.objects import Folder, FolderFile, Reference
from services.common.storage import hash_file
from services.ingest import choosing
from services.ingest.model_source import ModelFile, ModelFolder, OnBytes
from services.ingest.weights import ReadRange, count_parameters
from services.ingest.workroom import Workroom


class Shelf(Protocol):
    """The part of the store that models go to."""

    def reference(self, folder: Folder) -> Reference: ...  # noqa: D102 (as the store's methods of like name)

    def has(self, folder: Folder, name: str) -> bool:
        """Says whether a file of a folder is there."""
        ...

    def put_file(self, folder: Folder, name: str, path: Path) -> None: ...  # noqa: D102

    def finish(self, folder: Folder) -> None:
        """Makes a folder of the files that are there."""
        ...

    def read(self, folder: Folder, name: str, offset: int, length: int) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a model is."""

    name: str
    """The file at hand."""
    done: int
    """Bytes of it."""
    size: int
    all_done: int
    """Bytes of the whole model."""
    all_size: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the store."""

    folder: Reference
    architecture: str
    parameters: int


async def fetch_model(
    source: ModelFolder, shelf: Shelf, rooms: Workroom, limit: int, report: Callable[[Progress], None]
) -> Model:
    """Brings a model in.

    Raises Refused ONLY_PICKLES, ALREADY_QUANTISED, INCOMPLETE_MODEL, TOO_LARGE (more than `limit` bytes) or GATED,
    Exhausted DISK_FULL, Corrupt where what comes is not what the source said, Unavailable SOURCE_UNAVAILABLE.
    """
    with rooms.room(source.identity) as room:
        small = _Small(source, room)
        architecture, files = await _chosen(source, small, limit)
        total = sum(file.size for file in files)
        tally = _Tally(total, report)
        folder = Folder(tuple([await _named(source, file, room, tally) for file in files]))
        missing = [file for file in files if not await asyncio.to_thread(shelf.has, folder, file.name)]
        rooms.check_space(max((file.size for file in missing), default=0))
        tally = _Tally(total, report)
        for file, named in zip(files, folder, strict=True):
            on_bytes = tally.begin(file)
            if file in missing:
                await _store(source, file, named, folder, shelf, room, on_bytes)
            on_bytes(file.size)
        await asyncio.to_thread(shelf.finish, folder)
        parameters = await asyncio.to_thread(_parameters, folder, shelf, source.resolved_uri)
        return Model(shelf.reference(folder), architecture, parameters)


async def _chosen(source: ModelFolder, small: "_Small", limit: int) -> tuple[str, list[ModelFile]]:
    what = source.resolved_uri
    by_name = {file.name: file for file in source.files}
    names = choosing.choose(by_name.keys(), what)
    architecture = choosing.check_config(await small.read(by_name[choosing.CONFIG]), what, source.repository)
    if choosing.INDEX in names:
        names = (*names, *choosing.shards(await small.read(by_name[choosing.INDEX]), by_name.keys(), what))
    files = sorted((by_name[name] for name in names), key=lambda file: file.name)
    if (total := sum(file.size for file in files)) > limit:
        raise Refused("TOO_LARGE", f"{what} has {total:,} bytes; the limit is {limit:,} (BOOKMILL_INGEST_MODEL_LIMIT)")
    return architecture, files


class _Small:
    """Reads small JSON files of a model."""

    def __init__(self, source: ModelFolder, room: Path) -> None:
        self._source, self._room = source, room

    async def read(self, file: ModelFile) -> Any:
        if file.size > _JSON:
            raise Refused("INCOMPLETE_MODEL", f"{file.name} of {self._source.resolved_uri} has {file.size:,} bytes")
        path = await self._source.bring(file, self._room, lambda _: None)
        try:
            return json.loads(await asyncio.to_thread(path.read_bytes))
        except (ValueError, RecursionError) as error:
            raise Refused("INCOMPLETE_MODEL", f"{file.name} of {self._source.resolved_uri} is no JSON") from error


class _Tally:
    """Adds up the bytes of files done one after the other."""

    def __init__(self, total: int, report: Callable[[Progress], None]) -> None:
        self._total, self._report, self._before = total, report, 0

    def begin(self, file: ModelFile) -> OnBytes:
        before = self._before
        self._before += file.size
        return lambda done: self._report(Progress(file.name, done, file.size, before + done, self._total))


async def _named(source: ModelFolder, file: ModelFile, room: Path, tally: _Tally) -> FolderFile:
    on_bytes = tally.begin(file)
    return FolderFile(file.name, file.sha256 or await source.digest(file, room, on_bytes), file.size)


async def _store(
    source: ModelFolder,
    file: ModelFile,
    named: FolderFile,
    folder: Folder,
    shelf: Shelf,
    room: Path,
    on_bytes: OnBytes,
) -> None:
    try:
        path = await _checked(source, file, named, room, on_bytes)
    except Corrupt:
        # The part that an earlier attempt left may be to blame; it is gone now.
        path = await _checked(source, file, named, room, on_bytes)
    await asyncio.to_thread(shelf.put_file, folder, file.name, path)
    if path.is_relative_to(room):
        path.unlink()


async def _checked(source: ModelFolder, file: ModelFile, named: FolderFile, room: Path, on_bytes: OnBytes) -> Path:
    path = await source.bring(file, room, on_bytes)
    await asyncio.to_thread(_check, path, named, room, source.resolved_uri)
    return path


def _check(path: Path, named: FolderFile, room: Path, what: str) -> None:
    """Nothing is stored that is not what its name says."""
    if hash_file(path) != (named.sha256, named.size):
        if path.is_relative_to(room):
            path.unlink()
        raise Corrupt("CORRUPT_SOURCE", f"{named.path} of {what} is not what its SHA-256 at the source says; try again")
    if named.path.endswith(".safetensors"):
        count_parameters(_of_file(path), named.size, f"{named.path} of {what}")


def _parameters(folder: Folder, shelf: Shelf, what: str) -> int:
    weights = [file for file in folder if file.path.endswith(".safetensors")]
    return sum(count_parameters(partial(shelf.read, folder, file.path), file.size, what) for file in weights)


def _of_file(path: Path) -> ReadRange:
    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read


_JSON = 64 << 20
"""Bytes of a config or an index at most; the index of a model of 400 billion parameters has 4 MB."""
