"""How often a host is asked, and how long to wait after a failure. Time is given in seconds throughout."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol


class Clock(Protocol):
    """Time as the service sees it; a test brings one that does not wait."""

    def now(self) -> float:
        """Returns seconds that only ever grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Returns the monotonic time."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits without blocking other calls."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Pace:
    """One request to a host in every `interval`. Per process: replicas of the service each keep their own."""

    interval: float
    """Seconds between the starts of two requests to one host; Project Gutenberg asks robots for 2."""
    clock: Clock
    _free_at: dict[str, float] = field(default_factory=dict)
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def turn(self, host: str) -> None:
        """Returns when it is the caller's turn to ask `host`; callers are served in the order they came."""
        async with self._turns[host]:
            wait = self._free_at.get(host, 0.0) - self.clock.now()
            if wait > 0:
                await self.clock.sleep(wait)
            self.hold(host, self.interval)

    def hold(self, host: str, seconds: float) -> None:
        """Nobody asks `host` for `seconds` from now: what Retry-After says holds for every caller."""
        self._free_at[host] = max(self._free_at.get(host, 0.0), self.clock.now() + seconds)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounded attempts with full jitter: a random wait below a ceiling that doubles, so that clients
    spread."""

    attempts: int = 4
    """Requests in all for one address, the first included; an attempt that brought new bytes is not
    counted."""
    first: float = 1.0
    """Ceiling of the first wait."""
    ceiling: float = 30.0
    """No wait of ours is longer."""
    patience: float = 120.0
    """The longest Retry-After that is waited for; a host that asks for more is given up for now."""
    chance: Callable[[], float] = random.random
    """A number of [0, 1); a test fixes it."""

    def wait(self, failures: int) -> float:
        """Returns the wait after so many failures in a row, 1 or more."""
        return float(self.chance() * min(self.ceiling, self.first * 2 ** (failures - 1)))


PATIENT = Backoff()


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3). None where it is absent or
    wrong."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
