"""Publishing to a Hugging Face Hub: one commit, and none where nothing changed."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from services.common.errors import (
    BookmillError,
    Corrupt,
    Internal,
    InvalidInput,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from services.export.hub_session import limited  # first: it sets how huggingface_hub is imported
from services.export.patience import Busy, Patience
from services.export.publishing_settings import PublishingSettings

from huggingface_hub import CommitOperationAdd, HfApi  # isort: skip
from huggingface_hub.errors import HfHubHTTPError  # isort: skip
from huggingface_hub.hf_api import RepoFile  # isort: skip
from huggingface_hub.utils import sha as hub_sha  # isort: skip

Kind = Literal["model", "dataset"]

_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9]|-(?!-)){0,95}"
_NAME = r"(?!.*(?:--|\.\.))[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(?<![.-])(?<!\.git)"
_REPOSITORY = re.compile(f"{_OWNER}/{_NAME}")  # as huggingface_hub's validate_repo_id, with an owner
_BRANCH = "main"


@dataclass(frozen=True, slots=True)
class Item:
    """One file to publish."""

    path: str
    """In the repository."""
    sha256: str
    size: int
    fetch: Callable[[Path], None]
    """Writes the file, verified, or raises."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published."""

    address: str
    """The page."""
    commit: str
    """The commit that holds it: a new one, or the one that held exactly this before."""


def check_repository(repository: str) -> str:
    """Checks that a name is `OWNER/NAME` as the Hub allows it.

    Raises:
        InvalidInput: `BAD_REPOSITORY`.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidInput(
            "BAD_REPOSITORY",
            f"{repository!r} is no repository: OWNER/NAME of letters, digits, `.`, `_` and `-`, as in `me/horror-135m`",
            field="repository",
        )
    return repository


class Hub:
    """A Hub. Its calls block; each runs in a thread of its own."""

    def __init__(self, settings: PublishingSettings) -> None:
        self._settings = settings

    def address(self, kind: Kind, repository: str) -> str:
        """Gives the page of a repository."""
        return f"{self._settings.hub_endpoint}/{'datasets/' if kind == 'dataset' else ''}{repository}"

    def publish(
        self, kind: Kind, repository: str, items: Sequence[Item], scratch: Path, patience: Patience,
        private: bool = False, message: str = "Publish",
    ) -> Publication:  # fmt: skip
        """Brings a repository to hold these files, in one commit; other files in it stay.

        Every file is fetched to `scratch`, verified, sent and removed before the next. What is large is stored
        at the Hub first and seen by nobody until the commit at the end. Repeated after a failure, it sends what
        is missing; where nothing differs, it makes no commit.

        Raises:
            Unauthenticated: `NO_TOKEN`, `BAD_TOKEN`.
            PermissionDenied: `NOT_YOURS`.
            InvalidInput: `BAD_REPOSITORY`.
            Unavailable: `HUB_UNAVAILABLE`.
            Corrupt: a file is not what its SHA-256 says.
            DeadlineExceeded, Cancelled: as `Patience.check`.
        """
        check_repository(repository)
        api = HfApi(endpoint=self._settings.hub_endpoint, token=self._token(), library_name="bookmill")
        limits = limited(patience, self._settings.connect_seconds, self._settings.idle_seconds)
        with limits, self._translated(repository):
            patience.repeat(api.whoami)
            patience.repeat(partial(_ensure, api, kind, repository, private))
            commit = _Upload(api, kind, repository, scratch, patience).bring(items, message)
        return Publication(self.address(kind, repository), commit)

    def _token(self) -> str:
        file = self._settings.hub_token_file
        if file is None:
            raise Unauthenticated(
                "NO_TOKEN", "no token: name a file with one that may write in BOOKMILL_PUBLISH_HUB_TOKEN_FILE"
            )
        try:
            token = file.read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise Unauthenticated(
                "NO_TOKEN", f"the token file {str(file)!r} is not readable: {error.strerror}"
            ) from None
        if not token:
            raise Unauthenticated("NO_TOKEN", f"the token file {str(file)!r} is empty")
        if not re.fullmatch(r"[!-~]+", token):  # it would break the request's header, and be shown in that error
            raise Unauthenticated("BAD_TOKEN", f"the token file {str(file)!r} holds more than one token")
        return token

    @contextmanager
    def _translated(self, repository: str) -> Iterator[None]:
        endpoint = self._settings.hub_endpoint
        try:
            yield
        except BookmillError:
            raise
        except Busy as busy:
            raise Unavailable("HUB_UNAVAILABLE", f"the Hub at {endpoint} fails: {busy.what}") from busy
        except Exception as error:
            raise _meaning(error, endpoint, repository) from error


class _Upload:
    """One publication's files on their way."""

    def __init__(self, api: HfApi, kind: Kind, repository: str, scratch: Path, patience: Patience) -> None:
        self._api, self._kind, self._repository = api, kind, repository
        self._scratch, self._patience = scratch, patience

    def bring(self, items: Sequence[Item], message: str) -> str:
        """Sends what differs and commits it; gives the commit that holds everything."""
        head, there = self._patience.repeat(self._look)
        changed = [item for item in items if not self._same(item, there.get(item.path))]
        if not changed:
            return head
        operations = [self._patience.repeat(partial(self._send, item)) for item in changed]
        return self._patience.repeat(partial(self._commit, changed, operations, message))

    def _look(self) -> tuple[str, dict[str, RepoFile]]:
        """Gives the newest commit and its files."""
        info = self._api.repo_info(self._repository, repo_type=self._kind, revision=_BRANCH)
        if info.sha is None:
            raise ValueError(f"the description of {self._repository} names no commit")
        entries = self._api.list_repo_tree(self._repository, recursive=True, revision=info.sha, repo_type=self._kind)
        return info.sha, {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def _commit(self, changed: Sequence[Item], operations: Sequence[CommitOperationAdd], message: str) -> str:
        # Looks again: a commit whose answer was lost is there already, and is not made twice.
        head, there = self._look()
        if all(self._same(item, there.get(item.path)) for item in changed):
            return head
        info = self._api.create_commit(
            self._repository,
            operations,
            commit_message=message,
            repo_type=self._kind,
            revision=_BRANCH,
            parent_commit=head,
        )
        return info.oid

    def _same(self, item: Item, entry: RepoFile | None) -> bool:
        if entry is None or entry.size != item.size:
            return False
        if entry.lfs is not None:
            return entry.lfs.sha256 == item.sha256
        # Kept in git itself, which knows SHA-1 alone; such files are small.
        return bool(hub_sha.git_hash(self._fetch(item).read_bytes()) == entry.blob_id)

    def _send(self, item: Item) -> CommitOperationAdd:
        """Stores a file at the Hub if it is a large one; a small one travels in the commit."""
        path = self._fetch(item)
        operation = CommitOperationAdd(item.path, path)
        if operation.upload_info.sha256.hex() != item.sha256:
            raise Corrupt("CORRUPT_OBJECT", f"{item.path} changed in the scratch folder while it was sent")
        with _unwrapped():
            self._api.preupload_lfs_files(self._repository, [operation], repo_type=self._kind, free_memory=False)
        if operation._upload_mode == "lfs":
            path.unlink()
        return operation

    def _fetch(self, item: Item) -> Path:
        path = self._scratch / item.path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            item.fetch(path)
        return path


def _ensure(api: HfApi, kind: Kind, repository: str, private: bool) -> None:
    """Makes the repository if it does not exist."""
    try:
        api.create_repo(repository, repo_type=kind, private=private)
    except HfHubHTTPError as error:
        if error.response.status_code == 409:
            return
        # A token for one repository alone may not create any, and may still write that one.
        if error.response.status_code not in (401, 402, 403) or not api.repo_exists(repository, repo_type=kind):
            raise


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Lets out the error of ours that the client wraps into one of its own."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, (Busy, BookmillError)):
            raise error.__cause__ from error
        raise


def _meaning(error: Exception, endpoint: str, repository: str) -> BookmillError:
    """Says what an error of the client means; a failed upload's lies in its cause."""
    status = _status(error)
    if status == 401:
        return Unauthenticated("BAD_TOKEN", f"the Hub at {endpoint} does not know the token: it is wrong or expired")
    if status in (402, 403, 404):
        return PermissionDenied(
            "NOT_YOURS",
            f"the token may not write {repository!r}: use an owner that is yours and a token with write permission",
            repository=repository,
        )
    if status == 400 and _asked(error).endswith("/api/repos/create"):
        return InvalidInput("BAD_REPOSITORY", f"the Hub refuses {repository!r}: {_said(error)}", field="repository")
    if status is not None:
        return Unavailable("HUB_UNAVAILABLE", f"the Hub at {endpoint} answered {status}: {_said(error)}")
    if str(error).startswith("Invalid metadata"):
        return Internal("BAD_CARD", f"the Hub refuses the card's front matter: {_said(error)}")
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return Unavailable("HUB_UNAVAILABLE", f"the answer of {endpoint} is none of a Hub: {_said(error)}")
    return Internal("PUBLISHING_FAILED", f"publishing to {repository!r} failed: {type(error).__name__} {_said(error)}")


def _status(error: Exception) -> int | None:
    found = _http_error(error)
    return None if found is None else int(found.response.status_code)


def _asked(error: Exception) -> str:
    found = _http_error(error)
    return "" if found is None else str(found.response.request.url)


def _http_error(error: BaseException | None) -> HfHubHTTPError | None:
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error
        error = error.__cause__
    return None


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
