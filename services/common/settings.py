"""Settings that every service shares, and how any settings are loaded.

A setting is an environment variable; each class names its prefix. A secret may be given as a
file in its place (`…_FILE`), which is how Kubernetes and a careful person give it.
"""

import sys
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Settings = TypeVar("Settings", bound=BaseSettings)

EXIT_BAD_SETTING = 2
"""Exit code of a program whose settings are wrong."""


class StoreSettings(BaseSettings):
    """Where the object store is, `BOOKMILL_STORE_*`."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_STORE_", extra="ignore", hide_input_in_errors=True)

    endpoint: str = Field("127.0.0.1:8333", pattern=r"^[A-Za-z0-9.\-\[\]:]+$")
    """`host:port` of the S3 server."""
    bucket: str = Field("bookmill", pattern=r"^[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]$")
    """Made at start when it does not exist."""
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    access_key_file: Path | None = None
    """A file that holds the access key, in place of `access_key`."""
    secret_key_file: Path | None = None
    secure: bool = False
    """TLS."""
    region: str = "us-east-1"
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    """Of one read or write on the connection, not of a whole transfer."""
    part_size: int = Field(16 << 20, ge=5 << 20, le=512 << 20)
    """Bytes of an upload's part. S3 allows 10,000 parts and none under 5 MiB; one part is held in memory."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("access_key", "secret_key"):
            file: Path | None = getattr(self, f"{name}_file")
            if file is not None:
                if not file.is_file():
                    raise ValueError(f"{name}_file {str(file)!r} is not a file")
                setattr(self, name, SecretStr(file.read_text(encoding="utf-8").strip()))
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing: give {name} or {name}_file")
        return self


class ServerSettings(BaseSettings):
    """How a service serves, `BOOKMILL_*`."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_", extra="ignore")

    host: str = "127.0.0.1"
    """The address to bind to; loopback by default, `0.0.0.0` in a pod."""
    port: int = Field(0, ge=0, le=65535)
    """0 takes a free one, which the log names."""
    workers: int = Field(1, ge=1, le=64)
    """Processes for CPU work."""
    drain_seconds: float = Field(5.0, ge=0, le=600)
    """How long calls in flight may go on after SIGTERM."""
    not_serving_seconds: float = Field(0.2, ge=0, le=60)
    """How long health says NOT_SERVING before new calls are refused, so that clients have turned away."""
    default_deadline_seconds: float = Field(600.0, gt=0)
    """Of a unary call that brings none."""
    max_connection_age_seconds: float = Field(300.0, gt=0)
    """Clients look up the pods anew this often, so that new pods get work."""


def load(kind: type[Settings]) -> Settings:
    """Builds settings from the environment, or ends the program.

    A wrong or missing setting is named on standard error, without its value where it may be a
    secret, and the program exits with 2.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        for problem in error.errors():
            name = prefix + "_".join(str(part) for part in problem["loc"])
            print(f"setting {name.upper()}: {problem['msg']}", file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_BAD_SETTING) from None
