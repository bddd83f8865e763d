"""What the Hub's double keeps: blobs, commits, repositories, and who may do what."""

import hashlib
import json
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".gguf", ".safetensors", ".parquet", ".bin", ".pt", ".model", ".zip", ".gz")
"""What the Hub's default .gitattributes sends to large-file storage."""

REGULAR_LIMIT = 10 << 20
"""Bytes above which any file goes there."""


class HubError(Exception):
    """An answer that is an error: its status, X-Error-Code and message."""

    def __init__(self, status: int, message: str, code: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


@dataclass(frozen=True, slots=True)
class User:
    """Whom a token belongs to."""

    name: str
    role: str = "write"
    orgs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit; its bytes lie in `Blobs`."""

    path: str
    sha256: str
    size: int
    git_oid: str
    lfs: bool

    @property
    def oid(self) -> str:
        return self.git_oid

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository."""

    oid: str
    title: str
    description: str
    parent: str
    user: str
    files: Mapping[str, File]


@dataclass(slots=True)
class Repository:
    """A model's or a dataset's repository with its history."""

    kind: str
    """`models` or `datasets`."""
    id: str
    private: bool = False
    gated: str | bool = False
    licence: str = ""
    granted: Collection[str] | None = None
    """Users that a gate lets in; None: every user with a token."""
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def commit(self, revision: str) -> Commit:
        """Finds a commit by `main`, tag or full id."""
        if revision in ("main", "refs/heads/main"):
            return self.head
        wanted = self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.oid == wanted:
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def append(self, title: str, description: str, user: str, files: Mapping[str, File]) -> Commit:
        """Adds a commit; its id depends on everything in it, as git's does."""
        parent = self.commits[-1].oid if self.commits else ""
        tree = sorted((f.path, f.git_oid, f.sha256) for f in files.values())
        oid = hashlib.sha1(json.dumps([self.kind, self.id, parent, title, description, tree]).encode()).hexdigest()
        commit = Commit(oid, title, description, parent, user, dict(files))
        self.commits.append(commit)
        return commit


class Blobs:
    """Bytes by SHA-256, on disk."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hub-double-")

    def close(self) -> None:
        self._folder.cleanup()

    def path(self, sha256: str) -> Path:
        return Path(self._folder.name) / sha256

    def part(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.part"

    def has(self, sha256: str) -> bool:
        return re.fullmatch(r"[0-9a-f]{64}", sha256) is not None and self.path(sha256).exists()

    def put(self, path: str, data: bytes, lfs: bool | None = None) -> File:
        """Keeps bytes as a file of a repository would."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.path(sha256).write_bytes(data)
        return self.file(path, sha256, goes_to_lfs(path, data[:512], len(data)) if lfs is None else lfs)

    def file(self, path: str, sha256: str, lfs: bool) -> File:
        """Describes a file whose bytes are here already."""
        size = self.path(sha256).stat().st_size
        stored = pointer(sha256, size) if lfs else self.path(sha256).read_bytes()
        return File(path, sha256, size, git_oid(stored), lfs)


def goes_to_lfs(path: str, sample: bytes, size: int) -> bool:
    """Says where the Hub wants a file: large-file storage or git."""
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > REGULAR_LIMIT or b"\0" in sample)


def pointer(sha256: str, size: int) -> bytes:
    """Gives the text that stands in git for a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_oid(data: bytes) -> str:
    """Hashes as git hashes a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def check_read(repository: Repository | None, user: User | None) -> Repository:
    """Lets a user see a repository, or hides that it exists."""
    if repository is not None and (not repository.private or (user and may_write(repository.owner, user))):
        return repository
    if user is None:
        raise HubError(401, "Invalid username or password.", "RepoNotFound")
    raise HubError(404, "Repository not found", "RepoNotFound")


def check_gate(repository: Repository, user: User | None) -> None:
    """Lets a user download from a gated repository."""
    if not repository.gated:
        return
    if user is None:
        raise HubError(401, f"Access to {repository.id} is restricted. Please log in.", "GatedRepo")
    if repository.granted is not None and user.name not in repository.granted:
        raise HubError(
            403,
            f"Access to {repository.id} is restricted and you are not in the authorized list.",
            "GatedRepo",
        )


def check_write(owner: str, user: User | None) -> User:
    """Lets a user write below an owner's name."""
    if user is None:
        raise HubError(401, "Invalid username or password.")
    if user.role != "write":
        raise HubError(403, "This token has no write permission.")
    if not may_write(owner, user):
        raise HubError(403, f"You don't have the rights to write under the namespace {owner!r}.")
    return user


def may_write(owner: str, user: User) -> bool:
    """Says whether a name is the user's or an organisation's of theirs."""
    return owner == user.name or owner in user.orgs
