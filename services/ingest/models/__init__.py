"""Where base models come from, one file a URI scheme. A new source is a file here and a line in MODEL_SOURCES."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.common.storage import Store
from services.ingest.buckets import Buckets
from services.ingest.model_source import ModelSource
from services.ingest.models.archive import Archives
from services.ingest.models.bucket import S3Folders
from services.ingest.models.folder import Folders
from services.ingest.models.hub import Hub
from services.ingest.politeness import Clock
from services.ingest.web import Web


@dataclass(frozen=True, slots=True)
class ModelMeans:
    """What sources of models work with."""

    web: Web
    """For the Hub: without a pause between requests."""
    store: Store
    buckets: Buckets
    roots: tuple[Path, ...]
    hub_endpoint: str
    hub_token: Callable[[], str]
    clock: Clock
    work: Path
    limit: int
    """Bytes of a model."""


MODEL_SOURCES: dict[str, Callable[[ModelMeans], ModelSource]] = {
    "hf": lambda m: Hub(m.web, m.hub_endpoint, m.hub_token, m.clock),
    "s3": lambda m: S3Folders(m.buckets, m.store),
    "file": lambda m: Folders(m.roots),
    "upload": lambda m: Archives(m.store, m.work, m.limit),
}
