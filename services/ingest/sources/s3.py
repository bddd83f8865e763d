"""`s3:bucket/key`: a text in a bucket that a setting names."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.ingest.buckets import Buckets
from services.ingest.fetching import Body
from services.ingest.sinks import Memory


@dataclass(frozen=True, slots=True)
class S3:
    """Objects of S3 buckets."""

    buckets: Buckets
    limit: int

    async def identity(self, address: str) -> str:
        """Returns the object with its ETag and size: another content gives another book."""
        item = await asyncio.to_thread(self.buckets.find, address, "NO_SUCH_BOOK")
        return f"s3:{item.bucket}/{item.key}#{item.etag}-{item.size}"

    async def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:  # noqa: ARG002 (a source's form)
        """Yields the object. Raises InvalidInput BAD_URI, PermissionDenied OUTSIDE_ROOTS, NotFound, Refused
        TOO_LARGE."""
        yield await asyncio.to_thread(self._read, address)

    def _read(self, address: str) -> Body:
        item = self.buckets.find(address, "NO_SUCH_BOOK")
        sink = Memory(self.limit, f"'s3:{address}'")
        for block in self.buckets.stream(item, 0, "NO_SUCH_BOOK"):
            sink.write(block)
        return Body(sink.content(), f"s3:{item.bucket}/{item.key}")
