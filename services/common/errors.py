"""The one tree of errors.

BookmillError
├── InvalidInput        the request is wrong, whatever the state of the world
├── Unauthenticated     no token, or a wrong one
├── PermissionDenied    a setting or an owner forbids it
├── NotFound            it does not exist
├── AlreadyExists       it exists and differs
├── Refused             what was given is understood and declined: a book, a model, a result
├── Exhausted           a limit or a disk is full
├── Unavailable         the other side does not answer: try again later
├── DeadlineExceeded    it took longer than the caller allows
├── Cancelled           stopped on request
├── Corrupt             bytes are not what their SHA-256 says
└── Internal            a defect of ours

Each class carries its gRPC code; `services.common.server` is the one place that turns an
error into a status, `services.common.clients` the one that turns a status into an error.
"""

import re
from typing import ClassVar

import grpc

DOMAIN = "bookmill"
"""`ErrorInfo.domain` of every error (AIP-193)."""

_REASON = re.compile(r"[A-Z][A-Z0-9_]{1,62}")  # AIP-193: UPPER_SNAKE_CASE, at most 63 characters


class BookmillError(Exception):
    """An error that a caller is told of.

    Args:
        reason: a stable UPPER_SNAKE name that programs may depend on.
        message: one or two sentences for a person: the bad value and what to do.
        metadata: named details that programs may read (`field`, `choices`).
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(self, reason: str, message: str, **metadata: str) -> None:
        if not _REASON.fullmatch(reason):
            raise ValueError(f"reason {reason!r} is not UPPER_SNAKE_CASE of at most 63 characters")
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata

    def __reduce__(self) -> tuple[object, ...]:
        """Lets an error cross from a worker process, keyword arguments and all."""
        return _rebuild, (type(self), self.reason, self.message, self.metadata)

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]"


class InvalidInput(BookmillError):
    """The request is wrong, whatever the state of the world."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Unauthenticated(BookmillError):
    """No token, or a wrong one."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(BookmillError):
    """A setting or an owner forbids it."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(BookmillError):
    """It does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(BookmillError):
    """It exists and differs."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Refused(BookmillError):
    """What was given is understood and declined."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Exhausted(BookmillError):
    """A limit or a disk is full."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(BookmillError):
    """The other side does not answer: try again later."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(BookmillError):
    """It took longer than the caller allows."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(BookmillError):
    """Stopped on request."""

    code = grpc.StatusCode.CANCELLED


class Corrupt(BookmillError):
    """Bytes are not what their SHA-256 says."""

    code = grpc.StatusCode.DATA_LOSS


class Internal(BookmillError):
    """A defect of ours."""

    code = grpc.StatusCode.INTERNAL


ERRORS: tuple[type[BookmillError], ...] = (
    InvalidInput,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    Refused,
    Exhausted,
    Unavailable,
    DeadlineExceeded,
    Cancelled,
    Corrupt,
    Internal,
)
"""Every class above, for the way back from a status."""


def _rebuild(kind: type[BookmillError], reason: str, message: str, metadata: dict[str, str]) -> BookmillError:
    return kind(reason, message, **metadata)
