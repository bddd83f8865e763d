"""What a source of base models offers; `models/` has one a URI scheme."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that a source has."""

    name: str
    size: int
    sha256: str = ""
    """Empty where the source does not know it before the file is read."""


OnBytes = Callable[[int], None]
"""Is told how many bytes of the file at hand are done."""


class ModelFolder(Protocol):
    """A model's files at their source, of one revision."""

    @property
    def identity(self) -> str:
        """What decides the content: the same string means the same files."""
        ...

    @property
    def resolved_uri(self) -> str:
        """The URI with the revision resolved, in a form that may be shown."""
        ...

    @property
    def repository(self) -> str:
        """The model's name, `ORG/NAME`; empty where it has none."""
        ...

    @property
    def licence(self) -> str:
        """The licence that its card states; empty where it states none."""
        ...

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files in the folder itself, not those in folders below it."""
        ...

    async def digest(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> str:
        """Returns the SHA-256 of a file that came without one."""
        ...

    async def bring(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> Path:
        """Returns where the file lies on this disk: in the folder `room`, or where it was.

        It goes on from what an earlier attempt left in `room`. Raises Unavailable SOURCE_UNAVAILABLE, Refused GATED.
        """
        ...


class ModelSource(Protocol):
    """Where models of one URI scheme come from."""

    def pinned(self, address: str) -> str | None:
        """Returns the identity where the address alone decides it, else None. Raises InvalidInput BAD_URI."""
        ...

    def open(self, address: str) -> AbstractAsyncContextManager[ModelFolder]:
        """Finds the model.

        Raises InvalidInput BAD_URI, PermissionDenied, NotFound NO_SUCH_MODEL or NO_SUCH_REVISION, Refused GATED or
        ALREADY_QUANTISED, Unavailable SOURCE_UNAVAILABLE.
        """
        ...
