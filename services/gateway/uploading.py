"""Takes a user's bytes in: streamed to a file, verified by their SHA-256, put into the store."""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from services.common.errors import Exhausted, InvalidInput
from services.common.objects import Reference
from services.common.storage import Store
from services.common.writing import no_space_is_exhausted

AREA = "uploads"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 20


def is_there(store: Store, sha256: str) -> bool:
    """Says whether an upload is in the store."""
    return _SHA256.fullmatch(sha256) is not None and store.stat(f"{AREA}/{sha256}") is not None


async def upload(
    store: Store, sha256: str, body: AsyncIterator[bytes], announced: int | None, limit: int, scratch: Path | None
) -> tuple[Reference, bool]:
    """Takes an upload.

    Args:
        store: where it goes, as `uploads/<sha256>`.
        sha256: of the whole.
        body: the bytes, in blocks of any size.
        announced: their number, where it is known beforehand.
        limit: their number at the most.
        scratch: folder for the file on its way; the system's when None.

    Returns:
        The object, and whether it is new: bytes that are there already are only verified.

    Raises:
        InvalidInput: `BAD_SHA256`, `DIGEST_MISMATCH`, `INCOMPLETE`.
        Exhausted: `UPLOAD_TOO_LARGE`, `DISK_FULL`, `STORE_FULL`.
    """
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput("BAD_SHA256", f"{sha256[:80]!r} is no lower-case hexadecimal SHA-256", field="sha256")
    if announced is not None and announced > limit:
        raise _too_large(limit)
    known = await asyncio.to_thread(store.stat, f"{AREA}/{sha256}") is not None
    with no_space_is_exhausted():
        descriptor, name = await asyncio.to_thread(tempfile.mkstemp, ".upload", "bookmill-", scratch)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            size = await _received(body, sha256, None if known else file, limit)
        if announced is not None and size != announced:
            raise InvalidInput("INCOMPLETE", f"{size:,} of {announced:,} bytes came; send them again")
        if known:
            return Reference(f"{AREA}/{sha256}", sha256, size), False
        return await asyncio.to_thread(store.put_file, AREA, path), True
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _received(body: AsyncIterator[bytes], sha256: str, file: BinaryIO | None, limit: int) -> int:
    """Takes the bytes in, a block in memory at a time, and gives their number."""
    seen = hashlib.sha256()
    size = 0
    held = bytearray()

    def keep(block: bytes) -> None:
        seen.update(block)
        if file is not None:
            with no_space_is_exhausted():
                file.write(block)

    async for part in body:
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        held += part
        # Off the loop: hashing and writing would make every other call wait.
        if len(held) >= _BLOCK:
            await asyncio.to_thread(keep, bytes(held))
            held.clear()
    await asyncio.to_thread(keep, bytes(held))
    if seen.hexdigest() != sha256:
        raise InvalidInput(
            "DIGEST_MISMATCH",
            f"the {size:,} bytes that came have SHA-256 {seen.hexdigest()}, not {sha256}; send them again",
            field="sha256",
        )
    return size


def _too_large(limit: int) -> Exhausted:
    return Exhausted("UPLOAD_TOO_LARGE", f"an upload has at most {limit:,} bytes", limit=str(limit))
