"""`upload:<sha256>`: a model's folder that a user put into the store as a zip or a tar."""

import asyncio
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from services.common.errors import Exhausted, Refused
from services.common.objects import Reference
from services.common.storage import Store
from services.common.writing import no_space_is_exhausted
from services.ingest.choosing import CARD, CONFIG, is_wanted
from services.ingest.models.folder import LocalFolder, read_folder
from services.ingest.sinks import check_size
from services.ingest.sources.upload import find_upload, upload_sha256


@dataclass(frozen=True, slots=True)
class Archives:
    """Archives under `uploads/`."""

    store: Store
    work: Path
    """Where they are unpacked, for as long as they are read."""
    limit: int
    """Bytes of an archive, and of what is in it."""

    def pinned(self, address: str) -> str | None:
        """Returns the URI: it names the content."""
        return f"upload:{upload_sha256(address)}"

    @asynccontextmanager
    async def open(self, address: str) -> "AsyncIterator[LocalFolder]":
        """Unpacks the archive.

        Raises InvalidInput BAD_URI, NotFound NO_SUCH_MODEL, Refused TOO_LARGE or BAD_ARCHIVE, Exhausted DISK_FULL.
        """
        reference = await find_upload(self.store, address, "NO_SUCH_MODEL")
        check_size(reference.size, self.limit, f"upload:{address}")
        folder = Path(tempfile.mkdtemp(dir=self.work))
        try:
            yield await asyncio.to_thread(self._unpack, reference, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _unpack(self, reference: Reference, folder: Path) -> LocalFolder:
        if shutil.disk_usage(folder).free < reference.size:
            raise Exhausted("DISK_FULL", f"upload:{reference.sha256} does not fit into the work folder")
        archive, files = folder / "archive", folder / "files"
        self.store.download(reference, archive)
        files.mkdir()
        unpack(archive, files, self.limit)
        archive.unlink()
        uri = f"upload:{reference.sha256}"
        found = read_folder(files, uri, (files.resolve(),))
        return LocalFolder(files, uri, uri, found.licence, found.files)


def unpack(archive: Path, target: Path, limit: int) -> None:
    """Unpacks the files of the one folder in which there is a config.json, as far as they matter.

    Raises Refused BAD_ARCHIVE, or TOO_LARGE where more than `limit` bytes come out.
    """
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    try:
        with no_space_is_exhausted():
            names = [name for name, *_ in members(archive, limit)]
            folder = _model_folder(names)
            left = limit
            for name, _, opened in members(archive, limit):
                path = PurePosixPath(name)
                if str(path.parent) != folder or path.name == "..":
                    continue
                if is_wanted(path.name) or path.name == CARD:
                    with opened() as source, (target / path.name).open("wb") as file:
                        left -= _copy(source, file, left)
                else:
                    # It will not be brought in; that it is there may be the reason for a refusal (pickles alone).
                    (target / path.name).touch()
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as e:
        raise Refused(
            "BAD_ARCHIVE", f"the archive does not open; give a zip or a tar of the model's folder: {e}"
        ) from e
    except OSError as error:
        # What the decompressors say of damaged data; a full disk was told apart above.
        raise Refused("BAD_ARCHIVE", f"the archive does not open: {error}") from error


Members = Iterator[tuple[str, int, Callable[[], IO[bytes]]]]


def _zip_members(path: Path, limit: int) -> Members:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_members(len(infos), sum(info.file_size for info in infos), limit)
        for info in infos:
            if not info.is_dir():
                yield info.filename, info.file_size, partial(archive.open, info)


def _tar_members(path: Path, limit: int) -> Members:
    with tarfile.open(path, "r:*") as archive:
        count = size = 0
        for member in archive:
            count, size = count + 1, size + member.size
            _check_members(count, size, limit)
            # Neither links nor devices: what is taken is bytes.
            if member.isreg():
                yield member.name, member.size, partial(_content, archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    return content


def _check_members(count: int, size: int, limit: int) -> None:
    if count > _MEMBERS:
        raise Refused("BAD_ARCHIVE", f"the archive has more than {_MEMBERS:,} entries; give the model's folder alone")
    check_size(size, limit, "what is in the archive")


def _model_folder(names: list[str]) -> str:
    """The folder of the config that is least deep; where two are, nobody can tell which is meant."""
    folders = sorted(
        {str(p.parent) for p in map(PurePosixPath, names) if p.name == CONFIG and "__MACOSX" not in p.parts}
    )
    if not folders:
        raise Refused("INCOMPLETE_MODEL", f"the archive has no {CONFIG}; give a zip or a tar of the model's folder")
    depth = min(len(PurePosixPath(folder).parts) for folder in folders)
    first = [folder for folder in folders if len(PurePosixPath(folder).parts) == depth]
    if len(first) > 1:
        raise Refused("BAD_ARCHIVE", f"the archive has models in {', '.join(map(repr, first[:5]))}; give one alone")
    return first[0]


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> int:
    done = 0
    while block := source.read(1 << 20):
        done += len(block)
        check_size(done, limit, "what is in the archive")
        target.write(block)
    return done


_MEMBERS = 10_000
