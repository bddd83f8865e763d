"""Objects that a job's specification refers to, looked for before the job is made."""

import asyncio

from bookmill.v1 import object_pb2
from services.common.errors import InvalidInput, NotFound
from services.common.objects import MANIFEST, Reference
from services.common.storage import Store


async def require_folder(store: Store, message: object_pb2.ObjectReference, field: str) -> Reference:
    """Checks that a folder of files is in the store. What it holds is verified by the job, which reads it.

    Args:
        store: where it should be.
        message: the reference of its manifest.
        field: its name in the request, for the error.

    Raises:
        InvalidInput: `BAD_REFERENCE`.
        NotFound: `NO_SUCH_OBJECT`.
    """
    reference = Reference.from_proto(message, field)
    if not reference.key.endswith(f"/{MANIFEST}"):
        raise InvalidInput(
            "BAD_REFERENCE",
            f"{field} {reference.key!r} is no folder: a folder is referred to by its {MANIFEST}",
            field=field,
        )
    if await asyncio.to_thread(store.stat, reference.key) != reference.size:
        raise NotFound(
            "NO_SUCH_OBJECT", f"{field} {reference.key!r} is not in the store, or not whole; make it again", field=field
        )
    return reference
