"""References to objects, and folders of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from bookmill.v1 import object_pb2
from services.common.canonical import JSON, canonical_json
from services.common.errors import Corrupt, InvalidInput, NotFound

MANIFEST = "manifest.json"
"""The file that makes a folder of what lies beside it; written last."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Keys are our own: areas and hashes, then a suffix or a path inside a folder. S3 accepts `/a` and `a//b`,
# which some stores fold into one, so nothing like them is let through.
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*(/[A-Za-z0-9_.][A-Za-z0-9._@+-]*)*")


@dataclass(frozen=True, slots=True)
class Reference:
    """An object in the store."""

    key: str
    """Its key in the bucket."""
    sha256: str
    """Lower-case hexadecimal SHA-256 of its bytes."""
    size: int
    """In bytes."""

    @classmethod
    def from_proto(cls, message: object_pb2.ObjectReference, field: str = "reference") -> Self:
        """Checks and converts a reference.

        Args:
            message: the message.
            field: its name in the request, for the error.

        Raises:
            InvalidInput: `BAD_REFERENCE`.
        """
        if not _SHA256.fullmatch(message.sha256) or not is_key(message.key) or message.size_bytes < 0:
            shown = {"key": message.key, "sha256": message.sha256, "size_bytes": message.size_bytes}
            raise InvalidInput(
                "BAD_REFERENCE", f"{field} {shown!r} is no reference: it needs a key, a SHA-256 and a size", field=field
            )
        return cls(message.key, message.sha256, message.size_bytes)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Converts `{"key", "sha256", "size"}`.

        Raises:
            InvalidInput: `BAD_REFERENCE`.
        """
        try:
            message = object_pb2.ObjectReference(key=value["key"], sha256=value["sha256"], size_bytes=value["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("BAD_REFERENCE", f"{value!r} is no reference") from error
        return cls.from_proto(message)

    def to_proto(self) -> object_pb2.ObjectReference:
        """Converts to the message."""
        return object_pb2.ObjectReference(key=self.key, sha256=self.sha256, size_bytes=self.size)

    def to_json(self) -> dict[str, str | int]:
        """Converts to `{"key", "sha256", "size"}`."""
        return {"key": self.key, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One file of a folder object."""

    path: str
    """Relative, with `/`."""
    sha256: str
    """Of its bytes."""
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of files that is named by what is in it."""

    files: tuple[FolderFile, ...]
    """Sorted by path."""

    def manifest(self) -> bytes:
        """Gives the manifest's bytes; their SHA-256 is the folder's name."""
        rows: list[JSON] = [
            {"path": f.path, "sha256": f.sha256, "size": f.size} for f in sorted(self.files, key=lambda f: f.path)
        ]
        return canonical_json({"files": rows})

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads a manifest.

        Raises:
            Corrupt: `BAD_MANIFEST`: it is none, or a path leads out of the folder.
        """
        try:
            files = tuple(FolderFile(row["path"], row["sha256"], int(row["size"])) for row in value["files"])
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("BAD_MANIFEST", "the object is no folder's manifest") from error
        for file in files:
            if not is_key(file.path) or ".." in PurePosixPath(file.path).parts:
                raise Corrupt("BAD_MANIFEST", f"the manifest names {file.path!r}, which is no path in a folder")
        return cls(files)

    def file(self, path: str) -> FolderFile:
        """Finds one file.

        Raises:
            NotFound: `NO_SUCH_FILE`, with the paths there are.
        """
        for file in self:
            if file.path == path:
                return file
        choices = ", ".join(f.path for f in self)
        raise NotFound("NO_SUCH_FILE", f"{path!r} is not in the folder; it holds {choices}", choices=choices)

    def __iter__(self) -> Iterator[FolderFile]:
        return iter(self.files)


def is_key(key: str) -> bool:
    """Says whether a key is of the form that ours have: `area/hash`, no empty or dotted parts."""
    return len(key) <= 512 and _KEY.fullmatch(key) is not None and "/../" not in f"/{key}/" and "/./" not in f"/{key}/"
