"""The launcher that runs jobs as processes of this machine.

Two locks of a job's folder do what a cluster would. The job's process holds `lock` for as long as it lives, so that
there is never a second one, even when the service that started it is killed and another starts. The service
that looks after the job holds `owner`; when it dies, the next one adopts the process that it left.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from services.common.canonical import digest
from services.common.errors import Exhausted, PermissionDenied, Unavailable
from services.common.settings import StoreSettings
from services.jobs.launcher import Order, Phase, Status
from services.jobs.processes import JobFolder
from services.jobs.records import JobRecords
from services.jobs.settings import LaunchSettings
from services.jobs.supervising import Supervision

# Tokens are the services' own: a job reaches the store and nothing else.
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_log = logging.getLogger(__name__)


class LocalLauncher:
    """Runs jobs as processes; see `Launcher` for what it promises."""

    def __init__(
        self, records: JobRecords, settings: LaunchSettings, store: StoreSettings, environment: Mapping[str, str]
    ) -> None:
        """Makes a launcher.

        Args:
            records: of the store that the jobs work with.
            settings: where and how many.
            store: that store. Its address is part of the folders' names, since a job's hash knows nothing of it.
            environment: of the service; of its own settings only the store's reach a job.

        Raises:
            PermissionDenied: `FOLDER_NOT_OURS`.
        """
        self._records = records
        self._settings = settings
        self._folder = _private(settings.work_dir) / digest([store.endpoint, store.bucket])[:16]
        self._environment = _environment(environment, settings.threads)
        self._slots = asyncio.Semaphore(settings.concurrent_jobs)
        self._jobs: dict[str, Supervision] = {}
        self._runs: dict[Supervision, asyncio.Task[None]] = {}
        self._closing = False
        self._endings: dict[Path, asyncio.Task[None]] = {}

    async def start(self, order: Order) -> None:
        """See `Launcher`."""
        if self._closing:
            raise Unavailable("STOPPING", "this service is stopping; its jobs are resumed by the next one")
        known = self._jobs.get(order.job)
        if known is not None and known.status.phase is not Phase.FAILED and not known.stopping:
            return
        waiting = sum(job.status.phase is Phase.WAITING for job in self._jobs.values())
        if waiting >= self._settings.queued_jobs:
            raise Exhausted("TOO_MANY_JOBS", f"{waiting} jobs wait, the most that may (setting queued_jobs); try later")
        folder = self._job_folder(order.job)
        folder.prepare(order)
        job = Supervision(order, folder, self._records, self._slots, self._environment, self._settings.backoff_seconds)
        self._jobs[order.job] = job
        self._runs[job] = asyncio.create_task(job.run())
        self._runs[job].add_done_callback(lambda task: self._forget(job, task))

    async def status(self, job: str) -> Status | None:
        """See `Launcher`."""
        known = self._jobs.get(job)
        if known is not None and known.status.phase is Phase.FAILED:
            return known.status
        folder = self._job_folder(job)
        if folder.working():
            stopping = folder.path in self._endings or (known is not None and known.stopping)
            return Status(Phase.STOPPING if stopping else Phase.RUNNING)
        return None if known is None or known.stopping else known.status

    async def stop(self, job: str) -> None:
        """See `Launcher`."""
        if job in self._jobs:
            self._end(self._jobs[job])
        elif self._job_folder(job).working():
            self._terminate(self._job_folder(job))

    async def requests(self) -> Mapping[str, str]:
        """See `Launcher`; nobody but a service makes jobs here, which writes them down."""
        return {}

    def manifest(self, order: Order) -> str:  # noqa: ARG002 (the protocol's)
        """See `Launcher`; nothing is submitted here."""
        return ""

    async def close(self) -> None:
        """See `Launcher`."""
        self._closing = True
        for job in self._runs:
            # What another service looks after is that one's to end.
            if job.status.phase is Phase.RUNNING:
                self._end(job)
            else:
                job.stopping = True
                self._runs[job].cancel()
        while pending := {*self._runs.values(), *self._endings.values()}:
            await asyncio.wait(pending)

    def _end(self, job: Supervision) -> None:
        job.stopping = True
        if job.status.phase is Phase.WAITING:
            self._runs[job].cancel()
        if job.folder.working():
            self._terminate(job.folder)

    def _terminate(self, folder: JobFolder) -> None:
        if folder.path not in self._endings:
            task = asyncio.create_task(folder.terminate(self._settings.grace_seconds))
            self._endings[folder.path] = task
            task.add_done_callback(lambda _: self._endings.pop(folder.path))

    def _forget(self, job: Supervision, task: asyncio.Task[None]) -> None:
        del self._runs[job]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a job is looked after no more", exc_info=error, extra={"job": job.order.job})
        # What failed is remembered where the store could not be told.
        if self._jobs.get(job.order.job) is job and job.status.phase is not Phase.FAILED:
            del self._jobs[job.order.job]

    def _job_folder(self, job: str) -> JobFolder:
        return JobFolder(self._folder / job)


def _private(folder: Path) -> Path:
    """Makes a folder that nobody else may look into: requests and scratch files are the user's own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionDenied("FOLDER_NOT_OURS", f"{str(folder)!r} belongs to another user; choose another work_dir")
    return folder


def _environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Gives the environment of a program. Credentials of the store travel in it or in files that it names."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _TOKENS and (name.startswith("BOOKMILL_STORE_") or not name.startswith("BOOKMILL_"))
    }
    numbers = ("BOOKMILL_JOB_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**kept, **dict.fromkeys(numbers, str(threads)), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_XET": "1"}
