"""`s3:bucket/prefix`: a model in a bucket that a setting names."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.canonical import digest
from services.common.storage import Store
from services.ingest.buckets import Buckets, Item
from services.ingest.choosing import CARD, is_wanted
from services.ingest.model_source import ModelFile, OnBytes
from services.ingest.models.card import licence_of
from services.ingest.sinks import Partial


@dataclass(frozen=True, slots=True)
class S3Folders:
    """Prefixes of S3 buckets."""

    buckets: Buckets
    store: Store
    """Keeps the digests of files that were read, since S3 knows none: a later call need not read them again."""

    def pinned(self, address: str) -> str | None:  # noqa: ARG002 (a source's form)
        """Returns None: what is under a prefix may change."""
        return None

    @asynccontextmanager
    async def open(self, address: str) -> "AsyncIterator[S3Folder]":
        """Finds the model. Raises what Buckets.list raises, with the reason NO_SUCH_MODEL."""
        items = await asyncio.to_thread(self.buckets.list, address, _MISSING)
        by_name = {item.key.rpartition("/")[2]: item for item in items}
        licence = ""
        if CARD in by_name and by_name[CARD].size <= _CARD:
            licence = licence_of((await asyncio.to_thread(self._read, by_name[CARD])).decode("utf-8", "replace"))
        uri = f"s3:{address.strip('/')}"
        content = digest([[name, item.etag, item.size] for name, item in sorted(by_name.items()) if is_wanted(name)])
        yield S3Folder(self.buckets, self.store, by_name, uri, f"{uri}#{content}", licence)

    def _read(self, item: Item) -> bytes:
        return b"".join(self.buckets.stream(item, 0, _MISSING))


@dataclass(frozen=True, slots=True)
class S3Folder:
    """A model's objects."""

    buckets: Buckets
    store: Store
    items: dict[str, Item]
    resolved_uri: str
    identity: str
    licence: str
    repository: str = ""

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The objects."""
        return tuple(ModelFile(name, item.size) for name, item in self.items.items())

    async def digest(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> str:  # noqa: ARG002 (a folder's form)
        """Reads the object without keeping it, once for as long as its ETag stays."""
        return await asyncio.to_thread(self._digest, self.items[file.name], on_bytes)

    async def bring(self, file: ModelFile, room: Path, on_bytes: OnBytes) -> Path:
        """Downloads the object, going on from where an earlier attempt was."""
        return await asyncio.to_thread(self._bring, self.items[file.name], room / file.name, on_bytes)

    def _digest(self, item: Item, on_bytes: OnBytes) -> str:
        record = f"results/fetch_model_file/{digest([item.bucket, item.key, item.etag, item.size])}.json"
        if known := self.store.get_record(record):
            return str(known["sha256"])
        sha256, done = hashlib.sha256(), 0
        for block in self.buckets.stream(item, 0, _MISSING):
            sha256.update(block)
            done += len(block)
            on_bytes(done)
        self.store.put_record(record, {"sha256": sha256.hexdigest()})
        return sha256.hexdigest()

    def _bring(self, item: Item, path: Path, on_bytes: OnBytes) -> Path:
        if path.exists():
            return path
        part = path.with_name(f"{path.name}.part")
        sink = Partial(part, item.size, f"s3:{item.bucket}/{item.key}", on_bytes)
        try:
            if sink.size < item.size:
                for block in self.buckets.stream(item, sink.size, _MISSING):
                    sink.write(block)
        finally:
            sink.close()
        part.rename(path)
        return path


_MISSING = "NO_SUCH_MODEL"
_CARD = 1 << 20
