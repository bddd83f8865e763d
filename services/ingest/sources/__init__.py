"""Where books come from, one file a URI scheme. A new source is a file here and a line in SOURCES."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.common.storage import Store
from services.ingest.buckets import Buckets
from services.ingest.fetching import Source
from services.ingest.gutendex import Catalogue
from services.ingest.politeness import Clock
from services.ingest.sources.files import Files
from services.ingest.sources.gutenberg import Gutenberg
from services.ingest.sources.https import Https
from services.ingest.sources.s3 import S3
from services.ingest.sources.upload import Upload
from services.ingest.web import Web


@dataclass(frozen=True, slots=True)
class Means:
    """What sources work with."""

    web: Web
    store: Store
    buckets: Buckets
    catalogue: Catalogue
    catalogue_name: str
    mirrors: tuple[str, ...]
    roots: tuple[Path, ...]
    limit: int
    """Bytes of a book."""
    clock: Clock


SOURCES: dict[str, Callable[[Means], Source]] = {
    "gutenberg": lambda m: Gutenberg(m.web, m.catalogue, m.catalogue_name, m.mirrors, m.limit, m.clock),
    "upload": lambda m: Upload(m.store, m.limit),
    "s3": lambda m: S3(m.buckets, m.limit),
    "file": lambda m: Files(m.roots, m.limit),
    "https": lambda m: Https(m.web, m.limit),
    "http": lambda m: Https(m.web, m.limit, "http"),
}
