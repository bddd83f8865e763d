"""Opening the store when a service starts, which may be before the store does."""

import asyncio
import logging

from services.common.errors import Unavailable
from services.common.settings import StoreSettings
from services.common.storage import Store

_log = logging.getLogger(__name__)
_MOST_SECONDS = 10.0  # between two tries


async def open_store(settings: StoreSettings) -> Store:
    """Opens the store and makes its bucket; waits for a store that does not answer for as long as it takes.

    Raises:
        PermissionDenied: `STORE_FORBIDDEN`: the credentials are wrong, and no wait will mend them.
    """
    store = Store(settings)
    seconds = 0.5
    while True:
        try:
            await asyncio.to_thread(store.ensure_bucket)
        except Unavailable as error:
            _log.warning("waiting for the store", extra={"detail": error.message})
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, _MOST_SECONDS)
        else:
            return store
