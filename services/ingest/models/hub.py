"""`hf:ORG/NAME@REVISION`: a model on the Hugging Face Hub, or on a server with its API."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo

from services.common.errors import BookmillError, InvalidInput, NotFound, PermissionDenied, Refused, Unavailable
from services.common.storage import hash_file
from services.ingest.choosing import check_name
from services.ingest.model_source import ModelFile, OnBytes
from services.ingest.politeness import PATIENT, Backoff, Clock
from services.ingest.sinks import Partial
from services.ingest.web import Answered, Web


@dataclass(frozen=True, slots=True)
class Hub:
    """Models of one Hub."""

    web: Web
    """Brings the files: guarded as every fetch, without a pause between them, and patient."""
    endpoint: str
    """The Hub's address, without a slash at the end."""
    token: Callable[[], str]
    """Reads the read-only token, empty where there is none; asked each time, since tokens are replaced."""
    clock: Clock
    backoff: Backoff = PATIENT

    def pinned(self, address: str) -> str | None:
        """Returns the identity where the revision is a whole commit id, which never changes."""
        repository, revision = _split(address)
        return f"hf:{repository}@{revision}" if _COMMIT.fullmatch(revision) else None

    @asynccontextmanager
    async def open(self, address: str) -> "AsyncIterator[HubFolder]":
        """Finds the model and resolves its revision. Raises what ModelSource.open says."""
        repository, revision = _split(address)
        check_name(repository)
        token = self.token()
        info = await self._info(repository, revision, token)
        if not info.sha or info.siblings is None:
            raise Unavailable(
                "SOURCE_UNAVAILABLE", f"the Hub at {self.endpoint} tells neither commit nor files of {repository}"
            )
        card: dict[str, object] = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
        yield HubFolder(
            web=self.web,
            endpoint=self.endpoint,
            token=token,
            repository=repository,
            commit=info.sha,
            licence=str(card.get("license") or ""),
            files=tuple(
                ModelFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "")
                for file in info.siblings
                if "/" not in file.rfilename
            ),
        )

    async def _info(self, repository: str, revision: str, token: str) -> ModelInfo:
        # token=False: without it the client would take whatever token lies in the home folder.
        api = HfApi(endpoint=self.endpoint, token=token or False, library_name="bookmill")
        for attempt in range(1, self.backoff.attempts + 1):
            if attempt > 1:
                await self.clock.sleep(self.backoff.wait(attempt - 1))
            try:
                return await asyncio.to_thread(
                    api.model_info, repository, revision=revision, files_metadata=True, timeout=_API_SECONDS
                )
            except HFValidationError as error:
                raise InvalidInput("BAD_URI", f"'hf:{repository}' is no id of a model: {error}") from error
            except HfHubHTTPError as error:
                trouble: Exception = error
                if (known := _known(error, self.endpoint, repository, revision)) is not None:
                    raise known from error
            # A page of HTML, JSON of another form, a broken connection: all may pass.
            except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
                trouble = error
        message = " ".join(str(trouble).split())[:200]
        raise Unavailable("SOURCE_UNAVAILABLE", f"the Hub at {self.endpoint} fails {attempt} times: {message}")


@dataclass(frozen=True, slots=True)
class HubFolder:
    """A model at one commit."""

    web: Web
    endpoint: str
    token: str
    repository: str
    commit: str
    licence: str
    files: tuple[ModelFile, ...]

    @property
    def identity(self) -> str:
        """The id and the commit."""
        return f"hf:{self.repository}@{self.commit}"

    @property
    def resolved_uri(self) -> str:
        """The same: it says where to find the model again."""
        return self.identity

    async def digest(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> str:
        """Brings the file: the Hub knows the SHA-256 of large files alone, so it is a small one."""
        path = await self.bring(file, room, on_bytes)
        return (await asyncio.to_thread(hash_file, path))[0]

    async def bring(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> Path:
        """Downloads the file, going on from where an earlier attempt was."""
        path, part = room / file.name, room / f"{file.name}.part"
        if path.exists():
            return path
        url = f"{self.endpoint}/{self.repository}/resolve/{self.commit}/{quote(file.name)}"
        sink = Partial(part, file.size, f"{file.name} of {self.identity}", on_bytes)
        try:
            # A part of the right size is whole, or wrong, which its SHA-256 will tell.
            if sink.size < file.size or not file.size:
                await self.web.download(url, sink, {"Authorization": f"Bearer {self.token}"} if self.token else None)
        except Answered as answer:
            raise self._refused(file.name, answer) from answer
        finally:
            sink.close()
        if sink.size != file.size:
            part.unlink()
            raise Unavailable(
                "SOURCE_UNAVAILABLE", f"{url} has {sink.size:,} bytes and not {file.size:,} as its Hub says"
            )
        part.rename(path)
        return path

    def _refused(self, name: str, answer: Answered) -> BookmillError:
        if answer.status in (401, 403):
            why = "its owner has not granted access to the token's user" if self.token else "the service has no token"
            return _gated(self.endpoint, self.repository, why)
        if answer.status == 404:
            return NotFound("NO_SUCH_REVISION", f"{name} is no more in {self.identity}")
        return Unavailable("SOURCE_UNAVAILABLE", f"the Hub answers {answer.status} for {name} of {self.identity}")


_API_SECONDS = 30.0

# One name (old models) or two, then a branch, a tag, `refs/pr/1` or a commit.
_ADDRESS = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?)(?:@(?P<revision>[\w./-]{1,200}))?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def _split(address: str) -> tuple[str, str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InvalidInput("BAD_URI", f"'hf:{address}' is not of the form hf:ORG/NAME or hf:ORG/NAME@REVISION")
    return match["id"], match["revision"] or "main"


def _known(error: HfHubHTTPError, endpoint: str, repository: str, revision: str) -> BookmillError | None:
    """What an answer of the Hub means; None where another attempt may go better."""
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return _gated(endpoint, repository, "it is gated")
    if isinstance(error, RevisionNotFoundError):
        return NotFound(
            "NO_SUCH_REVISION", f"hf:{repository} has no revision {revision!r}; give a branch, a tag or a commit"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotFound(
            "NO_SUCH_MODEL",
            f"the Hub at {endpoint} has no model {repository!r}, or it is private; for a private one, name a file "
            f"with a token that may read it in {_SETTING}",
        )
    if status in (401, 403):
        return PermissionDenied("TOKEN_REFUSED", f"the Hub at {endpoint} refuses the token of {_SETTING}")
    if status in (408, 425, 429) or status >= 500:
        return None
    return Unavailable("SOURCE_UNAVAILABLE", f"the Hub at {endpoint} answers {status} for {repository}")


def _gated(endpoint: str, repository: str, why: str) -> Refused:
    return Refused(
        "GATED",
        f"hf:{repository} cannot be read: {why}. Accept its terms at {endpoint}/{repository}, make a read-only token "
        f"there, and name a file that holds it in {_SETTING}",
    )


_SETTING = "BOOKMILL_INGEST_HUB_TOKEN_FILE"
