"""Folders of small files, for toy services."""

import asyncio
import tempfile
from pathlib import Path

from services.common.objects import Reference
from services.common.storage import Store


async def put_folder(store: Store, area: str, files: dict[str, bytes]) -> Reference:
    """Stores files as a folder object."""

    def put() -> Reference:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            return store.put_folder(area, Path(folder))

    return await asyncio.to_thread(put)
