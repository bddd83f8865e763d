"""Settings of a job's program, which its launcher gives it, and of launching."""

import os
import tempfile
from pathlib import Path

from pydantic import Field
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


class LaunchSettings(BaseSettings):
    """How a service runs jobs as processes of its machine; each service has a prefix of its own."""

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
