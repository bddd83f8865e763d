"""What the gateway can be told, `BOOKMILL_GATEWAY_*`."""

import ipaddress
import sys
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.settings import EXIT_BAD_SETTING
from services.gateway.bearer import read_token


class GatewaySettings(BaseSettings):
    """Addresses of the services, and how patient and how wide a run is."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_GATEWAY_", extra="ignore")

    ingest: str = "dns:///127.0.0.1:50051"
    """Address of the ingest service; on Kubernetes `dns:///` of a headless Service, so that calls spread."""
    clean: str = "dns:///127.0.0.1:50052"
    chunk: str = "dns:///127.0.0.1:50053"
    train: str = "dns:///127.0.0.1:50054"
    export: str = "dns:///127.0.0.1:50055"

    # Not `port`: a Kubernetes Service named bookmill-gateway puts BOOKMILL_GATEWAY_PORT=tcp://… into every pod.
    http_port: int = Field(8080, ge=0, le=65535)
    """Port of REST and the web page, on the address that gRPC binds to; 0 takes a free one, which the log names."""
    allowed_hosts: list[str] = ["127.0.0.1", "localhost", "[::1]"]
    """Host names that REST answers to (`*` for any): a page of another site cannot reach it by renaming itself."""
    token_file: Path | None = None
    """A file that holds the token which REST and gRPC ask for; it is read again when it changes. Needed where the
    address is not loopback."""
    allow_anonymous: bool = False
    """Serve on such an address without a token: where something in front asks who calls."""

    books_at_once: int = Field(8, ge=1, le=256)
    """Books of a run that are in the services' hands at a time."""
    tries: int = Field(3, ge=1, le=20)
    """Calls for one book, or one publication, whose source or target does not answer, before it is set aside."""
    backoff_seconds: float = Field(1.0, gt=0, le=60)
    """Wait before the second try; it doubles, to 15 s at the most, and varies by a quarter."""
    patience_seconds: float = Field(300.0, ge=0, le=86_400)
    """How long a run waits for a service or the store that is down, before it fails."""
    store_retry_seconds: float = Field(15.0, gt=0, le=600)
    """Pause between two attempts to go on with a run when the store takes no records: it is full, for example."""
    queue_seconds: float = Field(86_400.0, ge=0)
    """How long a run waits for a place among the jobs when there are too many."""
    book_seconds: float = Field(600.0, gt=0, le=3600)
    """Deadline of a call for one book, waiting for its host's turn included."""
    call_seconds: float = Field(60.0, gt=0, le=3600)
    """Deadline of a short call about a job."""
    bulk_seconds: float = Field(3600.0, gt=0, le=86_400)
    """Deadline of a call whose work grows with the run: a dataset, a publication, a base model."""
    poll_seconds: float = Field(0.5, gt=0, le=10)
    """How often a run's marks of other gateways are looked at: its cancellation, its progress there."""

    upload_limit: int = Field(16 << 30, ge=1)
    """Bytes of one upload."""
    scratch: Path | None = None
    """Folder for uploads on their way into the store; the system's temporary folder when absent."""

    @field_validator("token_file")
    @classmethod
    def _usable(cls, file: Path | None) -> Path | None:
        if file is not None:
            read_token(file)
        return file


def refuse_exposure(host: str, settings: GatewaySettings) -> None:
    """Ends the program, as a wrong setting does, where other machines would reach a gateway that asks for no token.

    Args:
        host: the address to bind to.
        settings: the gateway's.
    """
    if settings.token_file is not None or settings.allow_anonymous or _is_loopback(host):
        return
    message = (
        f"setting BOOKMILL_GATEWAY_TOKEN_FILE: missing, and other machines reach BOOKMILL_HOST {host!r}; name a file "
        "that holds a token, or bind to 127.0.0.1, or set BOOKMILL_GATEWAY_ALLOW_ANONYMOUS=true where something in "
        "front asks who calls"
    )
    print(message, file=sys.stderr)  # noqa: T201
    raise SystemExit(EXIT_BAD_SETTING)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"  # no other name is known to mean this machine alone
