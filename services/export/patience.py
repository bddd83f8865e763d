"""How long a publication goes on: one deadline for all of it, a stop on request, bounded repeats."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from services.common.errors import Cancelled, DeadlineExceeded

Result = TypeVar("Result")


class Busy(Exception):
    """The other side failed in a way that may pass: it is asked again.

    Args:
        what: happened, for a person.
        wait: seconds that it asked to wait, None when it did not say.
    """

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait = wait


@dataclass(slots=True)
class Patience:
    """The limits of one publication. Made at its start; checked from the thread that works on it."""

    total_seconds: float
    attempts: int
    """Of one operation."""
    backoff_seconds: float
    """Before the second attempt; doubles."""
    patience_seconds: float
    """The longest wait that is accepted from the other side."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set to give the publication up."""
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.total_seconds

    def check(self) -> None:
        """Raises when time is up or the caller has gone.

        Raises:
            DeadlineExceeded: `PUBLISHING_DEADLINE`.
            Cancelled: `CANCELLED`.
        """
        if self.stopped.is_set():
            raise Cancelled("CANCELLED", "the publication was stopped; asked again, it goes on with what is missing")
        if time.monotonic() >= self._end:
            raise DeadlineExceeded(
                "PUBLISHING_DEADLINE",
                f"publishing took longer than {self.total_seconds:g} s; asked again, it goes on with what is missing",
            )

    def left(self, at_most: float) -> float:
        """Gives the seconds that an operation may take: what is left, `at_most` at the most."""
        return max(0.001, min(at_most, self._end - time.monotonic()))

    def repeat(self, operation: Callable[[], Result]) -> Result:
        """Runs an operation that is safe to repeat, again while the other side is busy.

        Raises:
            Busy: the last attempt's, when no further one is due.
            DeadlineExceeded: `PUBLISHING_DEADLINE`.
            Cancelled: `CANCELLED`.
        """
        for attempt in range(self.attempts):
            self.check()
            try:
                return operation()
            except Busy as busy:
                wait = busy.wait
                if wait is None:
                    # Spread, so that two publications that failed together do not come back together.
                    wait = self.backoff_seconds * 2**attempt * random.uniform(2 / 3, 4 / 3)  # noqa: S311
                elif wait > self.patience_seconds:
                    raise Busy(f"{busy.what}; it asks to wait {wait:g} s") from busy
                if attempt == self.attempts - 1:
                    raise
                self.stopped.wait(self.left(wait))
        raise AssertionError("attempts is at least 1")
