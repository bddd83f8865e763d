"""Waiting for what happens in another process, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 30.0) -> T:
    """Looks until what it sees is wanted, and gives that.

    Raises:
        AssertionError: it was not, for `seconds`.
    """
    until = time.monotonic() + seconds
    while not wanted(seen := await look()):
        assert time.monotonic() < until, f"still {seen!r} after {seconds} s"
        await asyncio.sleep(0.05)
    return seen
