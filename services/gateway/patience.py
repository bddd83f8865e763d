"""Calls to the services, and how long a run waits for one that does not answer.

Three kinds of trouble are told apart. A service that is down (the connection fails, which is gRPC's own status, or the
store is) is waited for: someone restarts it, and nothing of the run is lost. A source or a target outside that does not
answer is asked a few times. Everything else is an answer.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from services.common import clients
from services.common.errors import BookmillError, DeadlineExceeded, Unavailable
from services.gateway.context import Context

T = TypeVar("T")

DOWN = frozenset({"GRPC_UNAVAILABLE", "GRPC_CANCELLED", "GRPC_UNKNOWN", "GRPC_INTERNAL", "STORE_UNAVAILABLE"})
"""Reasons that say that a service or the store is down. A server killed in the middle of a call shows as any of the
first four, depending on what of the stream was lost."""

_LONGEST_WAIT = 15.0  # seconds between two tries: a service that is back is noticed soon


async def ask(
    context: Context, service: str, method: Any, request: Any, response_type: type[T], timeout: float
) -> tuple[T, bool]:
    """Calls a service, patiently.

    Args:
        context: the stage's.
        service: the service's name, for a person.
        method: of a stub.
        request: its request.
        response_type: the type of its response.
        timeout: the deadline of one try in seconds.

    Returns:
        The response, and whether it came from a record.

    Raises:
        Unavailable: `SERVICE_DOWN`: it did not come back in time; or the service's own reason, after some tries.
        BookmillError: what the service answered.
    """
    return await patiently(context, service, lambda: clients.call(method, request, response_type, timeout))


async def patiently(context: Context, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries until there is an answer.

    Args:
        context: the stage's; while it waits, the run's view says for what.
        what: what is called, for a person.
        attempt: one try.

    Raises:
        Unavailable: as `ask`.
    """
    waiting = Waiting(context, what)
    while True:
        try:
            return await attempt()
        except (Unavailable, DeadlineExceeded) as error:
            await waiting.after(error)
        except BookmillError as error:
            if error.reason not in DOWN:
                raise
            await waiting.after(error)


class Waiting:
    """The waits of one call or watch: bounded in time for what is down, in number for what declines to answer."""

    def __init__(self, context: Context, what: str, down: frozenset[str] = DOWN) -> None:
        self._context = context
        self._what = what
        self._down = down
        self._since: float | None = None
        self._tries = 0

    def answered(self) -> None:
        """Forgets what was: the next trouble is a new one."""
        self._since = None
        self._tries = 0

    async def after(self, error: BookmillError) -> None:
        """Waits before the next try.

        Raises:
            Unavailable: `SERVICE_DOWN`: it has been down for too long.
            BookmillError: the error itself, when it was tried often enough.
        """
        settings = self._context.settings
        self._tries += 1
        if error.reason in self._down:
            self._since = self._since or time.monotonic()
            down = time.monotonic() - self._since
            if down > settings.patience_seconds:
                name = "the store" if error.reason == "STORE_UNAVAILABLE" else self._what
                message = f"{name} did not answer for {down:,.0f} s ({error.message}); start it and ask again"
                raise Unavailable("SERVICE_DOWN", message, service=name) from error
        elif self._tries >= settings.tries:
            raise error
        self._context.meter.waiting(f"waiting for {self._what}: {error.message}"[:200])
        await asyncio.sleep(pause(self._tries, settings.backoff_seconds))
        self._context.meter.going_on()


def pause(tries: int, first: float) -> float:
    """Gives the seconds to wait after so many tries: doubling, bounded, and not at the same time as all others."""
    return min(first * 2.0 ** min(tries - 1, 10), _LONGEST_WAIT) * random.uniform(0.75, 1.25)  # noqa: S311 (no secret)
