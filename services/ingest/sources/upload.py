"""`upload:<sha256>`: a text that a user put into the store."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.common.errors import InvalidInput, NotFound
from services.common.objects import Reference
from services.common.storage import Store
from services.ingest.fetching import Body
from services.ingest.sinks import check_size


@dataclass(frozen=True, slots=True)
class Upload:
    """Objects under `uploads/`."""

    store: Store
    limit: int

    async def identity(self, address: str) -> str:
        """Returns the URI: it is the content's name already."""
        return f"upload:{upload_sha256(address)}"

    async def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:  # noqa: ARG002 (a source's form)
        """Yields the object. Raises NotFound NO_SUCH_BOOK, Refused TOO_LARGE, Corrupt."""
        reference = await find_upload(self.store, address, "NO_SUCH_BOOK")
        check_size(reference.size, self.limit, f"upload:{reference.sha256}")
        yield Body(await asyncio.to_thread(self.store.read, reference, self.limit), f"upload:{reference.sha256}")


async def find_upload(store: Store, address: str, missing: str) -> Reference:
    """Returns an uploaded object. Raises InvalidInput BAD_URI, and NotFound with the reason `missing`."""
    sha256 = upload_sha256(address)
    key = f"uploads/{sha256}"
    size = await asyncio.to_thread(store.stat, key)
    if size is None:
        raise NotFound(missing, f"nothing was uploaded as {sha256}; put it in with PUT /v1/uploads/{sha256}")
    return Reference(key, sha256, size)


def upload_sha256(address: str) -> str:
    """Returns the SHA-256 of an upload's address. Raises InvalidInput BAD_URI."""
    if not _SHA256.fullmatch(address):
        raise InvalidInput("BAD_URI", f"'upload:{address}' is not of the form upload:SHA256 (64 digits of 0-9a-f)")
    return address


_SHA256 = re.compile(r"[0-9a-f]{64}")
