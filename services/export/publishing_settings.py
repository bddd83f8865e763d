"""Settings of publishing, `BOOKMILL_PUBLISH_*`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = r"^https?://[^\s/@]+$"  # no path, and no password in it: it is shown in errors and logs


class PublishingSettings(BaseSettings):
    """Where results are published, and how long that may take."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_PUBLISH_", extra="ignore")

    hub_endpoint: str = Field("https://huggingface.co", pattern=_ADDRESS)
    """The Hub; another address serves a mirror of one's own, and tests."""
    hub_token_file: Path | None = None
    """Holds a token that may write. Read at each use, so that a rotated secret works at once."""
    ollama_address: str = Field("http://127.0.0.1:11434", pattern=_ADDRESS)
    """The Ollama server."""
    scratch: Path | None = None
    """Where files lie while they are sent, one at a time; the system's temporary folder when unset."""
    connect_seconds: float = Field(10.0, gt=0, le=300)
    """To connect."""
    idle_seconds: float = Field(60.0, gt=0, le=3600)
    """Without a byte read or written, before a connection is given up."""
    create_idle_seconds: float = Field(600.0, gt=0, le=7200)
    """The same while Ollama creates a model: it says nothing while it reads a large file."""
    total_seconds: float = Field(6 * 3600.0, gt=0)
    """Of one publication, with everything in it."""
    attempts: int = Field(4, ge=1, le=10)
    """Of one operation at the Hub or Ollama, the first included."""
    backoff_seconds: float = Field(1.0, ge=0, le=60)
    """Before the second attempt; doubled before each further one, and spread by a third."""
    patience_seconds: float = Field(60.0, ge=0)
    """The longest wait that a server may ask for (Retry-After); above it the publication fails at once."""
    parallel: int = Field(2, ge=1, le=16)
    """Publications at a time; others wait."""
