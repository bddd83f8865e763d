"""The chunk service's settings, `BOOKMILL_CHUNK_*`."""

import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ChunkSettings(BaseSettings):
    """How much is taken on, and where it is worked on."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_CHUNK_", extra="ignore")

    work_dir: Path = Path(tempfile.gettempdir()) / "bookmill-chunk"
    """Holds a book's text and chunks, and a dataset with all of its books' chunks, while they are worked on."""
    text_limit: int = Field(128 << 20, ge=1)
    """Bytes of a text. Clean lets 32 million characters through, of four bytes at the most."""
    downloads: int = Field(8, ge=1, le=64)
    """Objects that one dataset fetches at once."""
