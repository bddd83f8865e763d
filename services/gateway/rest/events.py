"""A run's changes as server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from bookmill.v1 import run_pb2
from services.common.errors import BookmillError, Unavailable
from services.common.steps import to_json
from services.gateway.rest.wire import error_body

T = TypeVar("T")

HEARTBEAT_SECONDS = 15.0
"""Less than the minute after which proxies and our own client take a silent connection for dead."""
_RETRY_MILLISECONDS = 1000


async def events(
    runs: AsyncGenerator[run_pb2.Run, None], last_id: str | None, heartbeat: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """Gives the events of a watch; the stream ends with it.

    Args:
        runs: the run, whenever it changed. Each event holds all of it, so that none that was missed matters.
        last_id: the last event that the client saw, which is not sent again.
        heartbeat: seconds of silence after which a comment is sent.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    try:
        async for run in _with_pauses(runs, heartbeat):
            if run is None:
                yield b": still here\n\n"
            elif (name := event_id(run)) != last_id:
                last_id = name
                yield f"id: {name}\nevent: run\ndata: {_line(to_json(run))}\n\n".encode()
    except Unavailable:
        return  # this gateway is stopping: the client comes back, here or to another
    except BookmillError as error:
        yield f"event: error\ndata: {_line(error_body(error))}\n\n".encode()


def event_id(run: run_pb2.Run) -> str:
    """Gives the id of the event that shows a run as it is: the same from every gateway."""
    return hashlib.sha256(run.SerializeToString(deterministic=True)).hexdigest()[:20]


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def _with_pauses(source: AsyncGenerator[T, None], seconds: float) -> AsyncIterator[T | None]:
    """Gives what a source gives, and None whenever it gave nothing for so long."""
    following = asyncio.ensure_future(anext(source, None))
    try:
        while True:
            done, _ = await asyncio.wait((following,), timeout=seconds)
            if not done:
                yield None
                continue
            item = following.result()
            if item is None:
                return
            yield item
            following = asyncio.ensure_future(anext(source, None))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await source.aclose()
