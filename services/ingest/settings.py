"""The ingest service's settings, `BOOKMILL_INGEST_*`. Lists are separated by commas."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.common.settings import StoreSettings
from services.ingest.addresses import Guard, Network
from services.ingest.politeness import Backoff
from services.ingest.web import USER_AGENT, Limits

Names = Annotated[tuple[str, ...], NoDecode]


class IngestSettings(BaseSettings):
    """Where books and models may come from, and how politely they are asked for."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_INGEST_", extra="ignore", hide_input_in_errors=True)

    hosts: Names = ("gutendex.com", "www.gutenberg.org", "gutenberg.org", "aleph.gutenberg.org", "gutenberg.pglaf.org")
    """Hosts that books may come from, beside those of the catalogue and the mirrors; `*.domain` is any name below."""
    exempt_hosts: Names = ()
    """Hosts that may be asked at any address and port, private ones too: a mirror in the cluster, a test's server."""
    exempt_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Address ranges (`10.1.0.0/16`) that are treated as public."""
    catalogue_url: str = Field("https://gutendex.com", pattern=r"^https?://[^\s]+$")
    """A catalogue with Gutendex's API: what is before `/books/`."""
    catalogue_name: str = Field("gutenberg.org", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Whose numbers `gutenberg:N` are; another name where another catalogue numbers other books."""
    mirrors: Names = ("https://aleph.gutenberg.org", "https://gutenberg.pglaf.org")
    """Copies of Project Gutenberg's collection, asked in this order before the catalogue's own addresses. The main
    site is not among them: it blocks programs."""
    seconds_between_requests: float = Field(2.0, ge=0, le=3600)
    """Between two requests to one host."""
    attempts: int = Field(4, ge=1, le=20)
    """Requests for one address in all, where a host fails or is busy."""
    connect_seconds: float = Field(10.0, gt=0, le=300)
    read_seconds: float = Field(30.0, gt=0, le=600)
    """For the next bytes of an answer."""
    total_seconds: float = Field(300.0, gt=0, le=86400)
    """For one address of a book, attempts and waits included."""
    book_limit: int = Field(64 << 20, ge=1)
    """Bytes of a book, as they come and unpacked."""
    concurrent_books: int = Field(8, ge=1, le=256)
    """Books that are fetched at once; each takes up to five times its size in memory."""
    roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders that `file:` may read below; none by default."""
    s3_prefixes: Names = ()
    """`bucket` or `bucket/prefix` that `s3:` may read below; none by default."""
    s3_endpoint: str | None = None
    """`host:port` of the server for `s3:`; that of the object store where absent."""
    s3_access_key_file: Path | None = None
    """A file with the access key for it; the object store's where absent."""
    s3_secret_key_file: Path | None = None
    s3_secure: bool = True
    """TLS to that server."""
    hub_endpoint: str = Field("https://huggingface.co", pattern=r"^https?://[^\s]+$")
    """The Hub that `hf:` models come from, or a server with its API."""
    hub_hosts: Names = ("huggingface.co", "*.huggingface.co", "hf.co", "*.hf.co")
    """Hosts that the Hub may lead to for its files."""
    hub_token_file: Path | None = None
    """A file with a read-only token, for gated models."""
    hub_total_seconds: float = Field(6 * 3600.0, gt=0)
    """For one file of a model."""
    model_limit: int = Field(64 << 30, ge=1)
    """Bytes of a model."""
    work_dir: Path = Path(tempfile.gettempdir()) / "bookmill-ingest"
    """Where models are on their way into the store, one file at a time; it needs room for the largest file."""
    work_keep_seconds: float = Field(86400.0, ge=0)
    """How long a file that did not arrive whole is kept, to go on with."""
    user_agent: str = Field(USER_AGENT, pattern=r"^[\x20-\x7e]{1,200}$")
    ca_file: Path | None = None
    """Certificates to trust, in place of the public ones, for mirrors of one's own."""

    @field_validator(
        "hosts", "exempt_hosts", "exempt_networks", "mirrors", "roots", "s3_prefixes", "hub_hosts", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("catalogue_url", "hub_endpoint")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.rstrip("/").removesuffix("/books")

    @field_validator("mirrors")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"{url!r} is no http: or https: address")
        return tuple(url.rstrip("/") for url in value)

    @field_validator("roots")
    @classmethod
    def _are_folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in value:
            if not path.is_absolute() or not path.is_dir():
                raise ValueError(f"{str(path)!r} is not the absolute path of a folder")
        return value

    @field_validator("hub_token_file", "s3_access_key_file", "s3_secret_key_file", "ca_file")
    @classmethod
    def _is_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"{str(value)!r} is not a file")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.s3_access_key_file is None) != (self.s3_secret_key_file is None):
            raise ValueError("s3_access_key_file and s3_secret_key_file belong together")
        if self.s3_endpoint is not None and self.s3_access_key_file is None:
            # The object store's keys are not shown to another server.
            raise ValueError("s3_endpoint needs s3_access_key_file and s3_secret_key_file")
        return self

    def guard(self) -> Guard:
        """Returns what may be asked for books; the catalogue and the mirrors need not be listed again."""
        return Guard(
            (*self.hosts, *map(_host, (self.catalogue_url, *self.mirrors))), self.exempt_hosts, self.exempt_networks
        )

    def hub_guard(self) -> Guard:
        """Returns what may be asked for models."""
        return Guard((_host(self.hub_endpoint), *self.hub_hosts), self.exempt_hosts, self.exempt_networks)

    def backoff(self) -> Backoff:
        """Returns how failures are met."""
        return Backoff(attempts=self.attempts)

    def limits(self, total: float) -> Limits:
        """Returns how long servers are waited for."""
        return Limits(self.connect_seconds, self.read_seconds, total)

    def hub_token(self) -> str:
        """Reads the token; empty where there is none."""
        return self.hub_token_file.read_text(encoding="utf-8").strip() if self.hub_token_file else ""

    def buckets(self, store: StoreSettings) -> StoreSettings:
        """Returns the server and the keys for `s3:`."""
        if self.s3_access_key_file is None or self.s3_secret_key_file is None:
            return store
        return store.model_copy(
            update={
                "endpoint": self.s3_endpoint or store.endpoint,
                "secure": self.s3_secure if self.s3_endpoint else store.secure,
                "access_key": SecretStr(self.s3_access_key_file.read_text(encoding="utf-8").strip()),
                "secret_key": SecretStr(self.s3_secret_key_file.read_text(encoding="utf-8").strip()),
            }
        )


def _host(url: str) -> str:
    """The entry of an allow-list for a URL: its port is named where it is not the scheme's."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host
