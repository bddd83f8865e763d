"""The texts that a user names on the command line: files, folders at any depth, archives of texts."""

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from services.common.errors import InvalidInput

SUFFIXES = (".txt", ".text", ".utf-8", ".utf8")
"""What a text in a folder or archive is called; a file that is named itself may be called anything."""

ARCHIVES = (".zip", ".tar", ".tar.xz", ".tar.gz", ".tar.bz2", ".tgz")
"""What an archive in a folder is called."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text, not yet read."""

    name: str
    """Its own file name, without folders."""
    path: Path
    """The file, or the archive that it is in."""
    member: str = ""
    """Its name in the archive."""

    @property
    def source(self) -> str:
        """Where it is, for a person."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)


def find_texts(paths: Sequence[Path]) -> list[TextFile]:
    """Lists the texts, sorted by name.

    Raises:
        InvalidInput: `NO_SUCH_FILE`, `BAD_ARCHIVE`, `NO_TEXTS`; `SAME_NAME` where two texts have one file name, so
            that one would overwrite the other.
    """
    found = {text for path in paths for text in _texts_at(path)}
    if not found:
        named = ", ".join(str(p) for p in paths)
        raise InvalidInput("NO_TEXTS", f"no text ({', '.join(SUFFIXES)}) in {named!r}")
    ordered = sorted(found, key=lambda text: (text.name, text.source))
    for text, following in pairwise(ordered):
        if text.name == following.name:
            raise InvalidInput(
                "SAME_NAME",
                f"{text.source!r} and {following.source!r} have one file name: clean them into two folders",
                name=text.name,
            )
    return ordered


def bodies(texts: Sequence[TextFile], limit: int) -> Iterator[tuple[TextFile, bytes]]:
    """Reads the texts, an archive once and in its own order.

    Args:
        texts: of `find_texts`.
        limit: bytes; of a longer text one byte more is read, so that it can be told.
    """
    archives: dict[Path, dict[str, TextFile]] = {}
    for text in texts:
        if text.member:
            archives.setdefault(text.path, {})[text.member] = text
            continue
        with text.path.open("rb") as file:
            yield text, file.read(limit + 1)
    for path, members in archives.items():
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name, text in members.items():
                    with archive.open(name) as packed:
                        yield text, packed.read(limit + 1)
            continue
        with tarfile.open(path) as tar:
            for info in tar:
                packed_file = tar.extractfile(info) if info.isfile() and info.name in members else None
                if packed_file is not None:
                    yield members[info.name], packed_file.read(limit + 1)


def _texts_at(path: Path) -> Iterator[TextFile]:
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file() and (_is_text(inner.name) or inner.name.lower().endswith(ARCHIVES)):
                yield from _texts_at(inner)
    elif not path.is_file():
        raise InvalidInput("NO_SUCH_FILE", f"{str(path)!r} is neither a file nor a folder")
    else:
        members = _members(path)
        if members is None:
            yield TextFile(path.name, path)
        else:
            yield from (TextFile(PurePosixPath(m).name, path, m) for m in members if _is_text(PurePosixPath(m).name))


def _members(path: Path) -> list[str] | None:
    """The names of an archive's files; None where it is none."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return [info.filename for info in archive.infolist() if not info.is_dir()]
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                return [info.name for info in tar if info.isfile()]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise InvalidInput("BAD_ARCHIVE", f"{str(path)!r} cannot be unpacked: {error}") from error
    return None


def _is_text(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
