"""Fetches one book: the first body, of those that its source offers, in which there is a text."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from services.common.errors import BookmillError, InvalidInput, Refused
from services.ingest.bodies import Text, read_text


@dataclass(frozen=True, slots=True)
class Body:
    """What a source gave."""

    raw: bytes
    address: str
    """Where it came from, in a form that may be shown."""


class Source(Protocol):
    """Where books of one URI scheme come from. `address` is what follows the scheme and its colon."""

    async def identity(self, address: str) -> str:
        """Returns what decides the book's content: the same string means the same book.

        It holds no path, port or time; where an address can change its content, it holds something of that
        content. Raises InvalidInput BAD_URI for what is no address here, and what `bodies` raises.
        """
        ...

    def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:
        """Yields what may be the book, the best first; the next one is asked for where one is no text.

        `hints` are web addresses that a catalogue named. At the end without a body, or with none left, it may
        raise NotFound NO_SUCH_BOOK, PermissionDenied, Refused TOO_LARGE or Unavailable SOURCE_UNAVAILABLE.
        """
        ...


@dataclass(frozen=True, slots=True)
class Book:
    """A fetched book."""

    text: Text
    sha256: str
    """Of the bytes as they came, a zip as a zip."""
    size: int
    """Of those bytes."""
    address: str
    """Where they came from, without credentials, query and fragment."""


Reader = Callable[[bytes, int], Awaitable[Text]]
"""Runs bodies.read_text where it does not hold up other calls."""


async def read_in_thread(raw: bytes, limit: int) -> Text:
    """Reads in a thread: enough for tests; the service has a pool of processes."""
    return await asyncio.to_thread(read_text, raw, limit)


def find_source(uri: str, sources: Mapping[str, Source]) -> tuple[Source, str]:
    """Returns the source for a URI, and the address in it. Raises InvalidInput UNKNOWN_SCHEME."""
    scheme, colon, address = uri.partition(":")
    source = sources.get(scheme.lower())
    if not colon or source is None:
        raise unknown_scheme(uri, sources)
    return source, address


def unknown_scheme(uri: str, known: Mapping[str, object]) -> InvalidInput:
    """Returns the error for a URI whose scheme is not among those known."""
    choices = ", ".join(f"{scheme}:" for scheme in known)
    return InvalidInput("UNKNOWN_SCHEME", f"{uri!r} has none of the schemes known: {choices}", choices=choices)


async def fetch(source: Source, address: str, hints: tuple[str, ...], limit: int, read: Reader) -> Book:
    """Returns the book. Raises what Source.bodies raises, and what read_text raises where no body is a
    text."""
    refusal: Refused | None = None
    try:
        async for body in source.bodies(address, hints):
            try:
                text = await read(body.raw, limit)
            except Refused as error:
                # The first body is from the best place: what is wrong with it tells most.
                refusal = refusal or Refused(error.reason, f"{body.address}: {error.message}", **error.metadata)
                continue
            digest = await asyncio.to_thread(hashlib.sha256, body.raw)
            return Book(text, digest.hexdigest(), len(body.raw), _bare(body.address))
    except BookmillError as error:
        raise refusal or error from None
    raise refusal or AssertionError("a source without a body raises")


def _bare(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
