"""Looks after one job on this machine: waits for its turn, runs its program, and again where its end asks for it."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from services.common.errors import BookmillError, Exhausted, Unavailable
from services.jobs.exits import BACKOFF_LIMIT, CRASHED, FINISHED, TERMINAL, Interrupted
from services.jobs.launcher import Order, Phase, Status
from services.jobs.locks import try_lock
from services.jobs.processes import POLL_SECONDS, JobFolder, end_stragglers
from services.jobs.records import FAILED, JobRecords, Outcome

QUEUED = Status(Phase.WAITING, "QUEUED", "waits for another job of this machine to end")
_OWNER_SECONDS = 0.5  # how often a service asks whether the one that looks after the job has died
_STORE_SECONDS = 1.0  # between two tries of a store that does not answer
# Of a program that had no time to set its handlers, or of a body that resets them: the same as being interrupted.
_INTERRUPTED = (Interrupted.exit_code, -signal.SIGTERM)

_log = logging.getLogger(__name__)


class Supervision:
    """One job in the care of a launcher."""

    def __init__(
        self,
        order: Order,
        folder: JobFolder,
        records: JobRecords,
        slots: asyncio.Semaphore,
        environment: Mapping[str, str],
        backoff_seconds: float,
    ) -> None:
        """Takes a job on.

        Args:
            order: what to run.
            folder: the job's, prepared.
            records: of the store that the job works with.
            slots: how many programs may be at work.
            environment: of the program.
            backoff_seconds: the wait after a first crash; it doubles with each.
        """
        self.order = order
        self.folder = folder
        self.status = QUEUED
        self.stopping = False
        """Whether the program is not to be run again."""
        self._records = records
        self._slots = slots
        self._environment = environment
        self._backoff = backoff_seconds

    async def run(self) -> None:
        """Runs the program to its end; `status` says how it went. To be cancelled only while it waits."""
        owner = await self._own()
        if owner is None:
            return
        try:
            # Taken also for a process that is at work already: what was left by a service that died counts.
            async with self._slots:
                await self._attempts()
        finally:
            os.close(owner)

    async def _own(self) -> int | None:
        """Waits until no other service looks after the job; None when the job has ended meanwhile."""
        while (owner := try_lock(self.folder.owner)) is None:
            await asyncio.sleep(_OWNER_SECONDS)
            with suppress(Unavailable):
                if await asyncio.to_thread(self._records.ended, self.order.step, self.order.job):
                    return None
        return owner

    async def _attempts(self) -> None:
        crashes = 0
        while not await self._has_outcome() and not self.stopping:
            try:
                code = await self._process()
            except Exhausted as error:
                await self._fail(error.reason, error.message)
                return
            if code == FINISHED:
                self.folder.clear()
                return
            if code in TERMINAL:
                await self._fail(TERMINAL[code], f"the program ended with exit code {code}; its log says more")
                return
            if code is None or code in _INTERRUPTED:
                continue
            crashes += 1
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            if crashes > BACKOFF_LIMIT:
                words = self.folder.last_words()
                await self._fail("CRASHED", f"crashed {crashes} times, at last with {how}: {words}")
                return
            wait = self._backoff * 2 ** (crashes - 1)
            _log.warning("a job crashed", extra={"job": self.order.job, "how": how, "again_in_seconds": wait})
            self.status = Status(Phase.WAITING, "CRASHED", f"crashed ({how}) and starts again in {wait:g} s")
            await asyncio.sleep(wait)

    async def _process(self) -> int | None:
        """Runs the program once, or waits for the end of one that is at work.

        Returns:
            Its exit code, negative for a signal; None when it was not ours to know.
        """
        lock = try_lock(self.folder.lock)
        self.status = Status(Phase.RUNNING)
        if lock is None:
            _log.info("adopted a process", extra={"job": self.order.job})
            while self.folder.working():  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(POLL_SECONDS)
            return None
        try:
            process = await asyncio.to_thread(self.folder.spawn, self.order, lock, self._environment)
        except OSError:
            _log.exception("a job's program cannot be started", extra={"job": self.order.job})
            return CRASHED
        finally:
            os.close(lock)
        _log.info("started a process", extra={"job": self.order.job, "pid": process.pid})
        return await _ended(process)

    async def _has_outcome(self) -> bool:
        """Says whether the job has ended or was cancelled. Waits for a store that does not answer: a program that
        needs it would only crash."""
        while not self.stopping:
            try:
                return await asyncio.to_thread(self._records.outcome, self.order.job) is not None
            except Unavailable as error:
                _log.warning("a job waits for the store", extra={"job": self.order.job, "reason": error.reason})
                self.status = Status(Phase.WAITING, error.reason, error.message)
                await asyncio.sleep(_STORE_SECONDS)
        return False

    async def _fail(self, reason: str, message: str) -> None:
        try:
            await asyncio.to_thread(self._records.put_outcome, self.order.job, Outcome(FAILED, reason, message))
        except BookmillError as error:
            _log.warning("the outcome was not written", extra={"job": self.order.job, "reason": error.reason})
            self.status = Status(Phase.FAILED, reason, message)


async def _ended(process: subprocess.Popen[bytes]) -> int:
    while (code := process.poll()) is None:  # noqa: ASYNC110 (a thread of its own would be the alternative)
        await asyncio.sleep(POLL_SECONDS)
    end_stragglers(process)
    return code
