"""The part of the object store that base models go to: folders under `models/`."""

from dataclasses import dataclass
from pathlib import Path

from services.common.objects import MANIFEST, Folder, Reference
from services.common.storage import Store


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """Base models in the store. Every call blocks."""

    store: Store
    area: str = "models"

    def reference(self, folder: Folder) -> Reference:
        """Returns the reference that the folder has, or will have."""
        return self.store.folder_reference(self.area, folder)

    def has(self, folder: Folder, name: str) -> bool:
        """Says whether a file of the folder is there."""
        return self.store.stat(self._key(folder, name)) == folder.file(name).size

    def put_file(self, folder: Folder, name: str, path: Path) -> None:
        """Stores one file."""
        self.store.put_folder_file(self.area, folder, name, path)

    def finish(self, folder: Folder) -> None:
        """Writes the manifest: the files are there."""
        self.store.put_manifest(self.area, folder, {})

    def read(self, folder: Folder, name: str, offset: int, length: int) -> bytes:
        """Reads a part of a file."""
        return b"".join(self.store.stream(self._key(folder, name), offset, length))

    def _key(self, folder: Folder, name: str) -> str:
        return f"{self.reference(folder).key.removesuffix(MANIFEST)}{name}"
