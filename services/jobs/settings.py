"""Settings of a job's program, which its launcher gives it, and of launching."""

import os
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProgramSettings(BaseSettings):
    """What a job's program is given beside its request, `BOOKMILL_JOB_*`."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_JOB_", extra="ignore")

    scratch: Path = Path(tempfile.gettempdir())
    """The folder for big files; a folder of the job's own is made in it and removed at the end."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of arithmetic. A fixed number and not the machine's: sums, and so digests, depend on it."""
    lock: Path | None = None
    """A file that the local launcher holds a lock on for as long as the program lives; it is told the process id."""
    name: str = ""
    """The name of the program's Job on Kubernetes, which must be the one of its request."""
    end_file: Path | None = None
    """A file to say in why the program ended, `/dev/termination-log` on Kubernetes."""


class LaunchSettings(BaseSettings):
    """How a service runs jobs; each has a prefix of its own. All but the first two are of the local launcher."""

    launcher: Literal["local", "kubernetes"] = "local"
    """`local` runs jobs as processes of this machine, `kubernetes` as Jobs."""
    cluster_file: Path | None = Field(None, validate_default=True)
    """Says how Jobs run (`services.jobs.kubernetes.settings`), YAML."""
    work_dir: Path = Path(tempfile.gettempdir()) / f"bookmill-{os.getuid()}"
    """Requests, locks, logs and scratch files of jobs. Services of a machine that run jobs of one store must share
    it: its locks keep a job from running twice."""
    concurrent_jobs: int = Field(1, ge=1, le=64)
    """Jobs that a service runs at a time; others wait, `QUEUED`."""
    queued_jobs: int = Field(100, ge=1, le=10_000)
    """Jobs that may wait; one more is refused, `TOO_MANY_JOBS`."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of each job. Digests of trained models depend on it."""
    grace_seconds: float = Field(300.0, gt=0, le=3600)
    """How long a job may save its state after SIGTERM (`terminationGracePeriodSeconds`)."""
    backoff_seconds: float = Field(5.0, ge=0, le=600)
    """The wait after a first crash; it doubles with each."""

    @field_validator("cluster_file")
    @classmethod
    def _there(cls, value: Path | None, others: ValidationInfo) -> Path | None:
        if others.data.get("launcher") == "kubernetes" and (value is None or not value.is_file()):
            raise ValueError(
                f"launcher is kubernetes: name a file that says how Jobs run; {str(value or '')!r} is none"
            )
        return value
