"""How a job's program ends, and what that asks of whoever runs it.

| exit code | means | run it again? |
|---|---|---|
| 0 | finished, result recorded | no |
| 75 | checkpointed after SIGTERM (`EX_TEMPFAIL` of sysexits.h) | yes, it is no failure |
| 42 | bad configuration or data | no |
| 43 | out of memory | no |
| 44 | loss is not finite | no |
| 45 | five attempts without progress | no |
| other | crash | yes, three times |
"""

import errno
from typing import ClassVar

from services.common.errors import (
    AlreadyExists,
    BookmillError,
    Corrupt,
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    Unauthenticated,
)

FINISHED = 0
CRASHED = 1
BACKOFF_LIMIT = 3
"""Crashes after which a job is run again; one more and it has failed (`backoffLimit` of a Job)."""


class JobError(Exception):
    """An end of a job's program that is told by its exit code.

    Args:
        reason: a stable UPPER_SNAKE name; the class's own when empty.
        message: one or two sentences for a person: the bad value and what to do.
        metadata: named details that programs may read.
    """

    exit_code: ClassVar[int]
    default_reason: ClassVar[str]

    def __init__(self, reason: str = "", message: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.message = message
        self.metadata = metadata

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]"


class BadConfiguration(JobError):
    """The specification, or what it refers to, cannot be worked with. Another attempt would end the same."""

    exit_code = 42
    default_reason = "BAD_CONFIGURATION"


class ParityFailed(JobError):
    """A model's perplexity lies outside its bound; the message names the figure."""

    exit_code = 42
    default_reason = "PARITY"


class OutOfMemory(JobError):
    """The accelerator's or the host's memory does not hold it."""

    exit_code = 43
    default_reason = "OUT_OF_MEMORY"


class NotFinite(JobError):
    """The loss became infinite or no number."""

    exit_code = 44
    default_reason = "NOT_FINITE"


class NoProgress(JobError):
    """Attempt after attempt ended before it left a new checkpoint."""

    exit_code = 45
    default_reason = "NO_PROGRESS"


class Interrupted(JobError):
    """Asked to stop, saved its state: run it again and it goes on."""

    exit_code = 75
    default_reason = "INTERRUPTED"


TERMINAL = {kind.exit_code: kind.default_reason for kind in (BadConfiguration, OutOfMemory, NotFinite, NoProgress)}
"""Exit codes after which a job is not run again, with the reason where no record says a finer one."""

_FINAL = (AlreadyExists, Corrupt, Exhausted, InvalidInput, NotFound, PermissionDenied, Refused, Unauthenticated)


def judge(error: BaseException) -> JobError | None:
    """Says which end of a job an exception is.

    Args:
        error: what the program's body raised.

    Returns:
        The end; None for a crash, such as a store that does not answer: it may pass, so another attempt is worth it.
    """
    if isinstance(error, JobError):
        return error
    if isinstance(error, _FINAL):
        return BadConfiguration(error.reason, error.message, **error.metadata)
    if isinstance(error, BookmillError):
        return None
    # torch's own is a RuntimeError in a module that must not be imported here: it takes seconds.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(message=f"out of memory: {error}; take a smaller batch, context or model")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return BadConfiguration("DISK_FULL", f"no space left on the disk of {error.filename or 'the job'}")
    return None
