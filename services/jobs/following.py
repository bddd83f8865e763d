"""Creates and follows jobs of one kind: what the train and the export service have in common.

A job's state is read, never kept: from its result and its other records in the store, and from what its launcher says.
Any replica may be asked about any job.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Generic

from google.protobuf.json_format import ParseDict, ParseError

from bookmill.v1 import object_pb2
from services.common.errors import (
    BookmillError,
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    Unavailable,
)
from services.common.steps import answered, recorded
from services.common.storage import Store
from services.jobs.kinds import JobKind, JobView, Result, Spec
from services.jobs.launcher import Launcher, Phase, Status
from services.jobs.records import CANCELLED, FAILED, JobRecords, Outcome

WATCH_SECONDS = 0.5
"""How often a watched job is looked at."""
KEEP_UP_SECONDS = 60.0
"""How often unfinished jobs are seen to, whoever looks."""
PATIENCE_SECONDS = 60.0
"""How long a watch bears with a store that does not answer."""
PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
PAGE_BYTES = 48 << 10
"""A page ends early where it would outgrow a message, which has 64 KiB at the most."""

_ENDED_STATES = {FAILED: object_pb2.STATE_FAILED, CANCELLED: object_pb2.STATE_CANCELLED}
# Nothing is final before its program is gone: asked for anew, it would meet its own end.
_ENDING_STATES = {FAILED: object_pb2.STATE_RUNNING, CANCELLED: object_pb2.STATE_CANCELLING}
_PHASE_STATES = {
    Phase.WAITING: object_pb2.STATE_PENDING,
    Phase.RUNNING: object_pb2.STATE_RUNNING,
    Phase.STOPPING: object_pb2.STATE_CANCELLING,
}

_log = logging.getLogger(__name__)


class Jobs(Generic[Spec, Result]):
    """The jobs of one kind."""

    def __init__(self, kind: JobKind[Spec, Result], store: Store, launcher: Launcher) -> None:
        self._kind = kind
        self._store = store
        self._records = JobRecords(store)
        self._launcher = launcher
        self._adopted: set[str] = set()

    async def recorded(self, spec: Spec) -> bool:
        """Says whether the result of a complete specification is recorded."""
        return await asyncio.to_thread(self._result, self._kind.step.key(spec)) is not None

    async def validated(self, spec: Spec) -> JobView[Spec, Result]:
        """Gives the job that `create` would make, with its manifest."""
        job = self._kind.step.key(spec)
        manifest = await asyncio.to_thread(self._launcher.manifest, self._kind.order(job, spec))
        return JobView(self._kind.name(job), spec, object_pb2.STATE_UNSPECIFIED, manifest=manifest)

    async def create(self, spec: Spec, retry: bool) -> JobView[Spec, Result]:
        """Makes sure that a job is at work or has succeeded.

        Args:
            spec: a complete specification.
            retry: whether a job that failed is run again. One that was cancelled always is: it is asked for anew.

        Returns:
            The job, the same for everyone who asks for it.

        Raises:
            Exhausted: `TOO_MANY_JOBS`, `DISK_FULL`.
        """
        job = self._kind.step.key(spec)
        view, status = await self._look(job, spec)
        if view.state == object_pb2.STATE_SUCCEEDED:
            answered.set(True)
        cancelled = view.state in {object_pb2.STATE_CANCELLED, object_pb2.STATE_CANCELLING}
        if cancelled or (retry and view.state == object_pb2.STATE_FAILED):
            # First what is left of it: who looks at a launcher's old failure just now would write it down once more.
            await self._launcher.stop(job)
            await asyncio.to_thread(self._records.reopen, job)
            await self._launcher.start(self._kind.order(job, spec))
        elif status is None and not view.final:
            await self._launcher.start(self._kind.order(job, spec))
        # After the start, so that an order that was refused leaves no job that someone resumes.
        await asyncio.to_thread(self._records.put_request, self._kind.step, job, spec)
        return await self._view(job, spec)

    async def get(self, name: str) -> JobView[Spec, Result]:
        """Looks at a job, and sees to it that it is at work when it should be.

        Raises:
            NotFound: `NO_SUCH_JOB`.
        """
        return await self._resumed(*await self._find(name))

    async def page(self, size: int, token: str) -> tuple[list[JobView[Spec, Result]], str]:
        """Lists jobs by name.

        Args:
            size: of the page, 0 for the default.
            token: as the page before gave it, empty for the first page.

        Returns:
            The jobs, and the token of the next page, empty on the last.

        Raises:
            InvalidInput: `BAD_PAGE_SIZE`, `BAD_PAGE_TOKEN`.
        """
        if not 0 <= size <= MAX_PAGE_SIZE:
            raise InvalidInput("BAD_PAGE_SIZE", f"page_size {size} is not in 0 to {MAX_PAGE_SIZE}", field="page_size")
        if token and not (len(token) == 64 and set(token) <= set("0123456789abcdef")):
            raise InvalidInput("BAD_PAGE_TOKEN", f"page_token {token!r} is none that a page gave", field="page_token")
        size = size or PAGE_SIZE
        await self._adopt()
        # One more tells whether there is a next page.
        found = await asyncio.to_thread(self._after, token, size + 1)
        views: list[JobView[Spec, Result]] = []
        room = PAGE_BYTES
        for job, spec in list(found.items())[:size]:
            view = await self._view(job, spec)
            room -= view.size
            if views and room < 0:
                break
            views.append(view)
        last = list(found)[len(views) - 1] if views else ""
        return views, last if len(found) > len(views) else ""

    async def watch(self, name: str) -> AsyncIterator[JobView[Spec, Result]]:
        """Gives a job at once and whenever it has changed, until it is final.

        Raises:
            NotFound: `NO_SUCH_JOB`.
            Unavailable: `STORE_UNAVAILABLE`, for longer than `PATIENCE_SECONDS`.
        """
        job, spec = await self._find(name)
        before = None
        seen = time.monotonic()
        while before is None or not before.final:
            try:
                view = await self._resumed(job, spec)
                seen = time.monotonic()
            except Unavailable:
                if before is None or time.monotonic() - seen > PATIENCE_SECONDS:
                    raise
                view = before
            if view != before:
                yield view
            before = view
            if not view.final:
                await asyncio.sleep(WATCH_SECONDS)

    async def cancel(self, name: str) -> JobView[Spec, Result]:
        """Asks a job to stop; one that has ended stays as it is.

        Raises:
            NotFound: `NO_SUCH_JOB`.
        """
        job, spec = await self._find(name)
        view = await self._view(job, spec)
        if view.final:
            return view
        # First the record: whatever happens to this service now, nobody runs the job again.
        outcome = Outcome(
            CANCELLED, "CANCELLED", "stopped on request; it goes on from its checkpoint when created again"
        )
        await asyncio.to_thread(self._records.put_outcome, job, outcome)
        await self._launcher.stop(job)
        return await self._view(job, spec)

    async def resume(self) -> None:
        """Sees to all jobs that are unfinished, such as those that a service left when it stopped, and writes down how
        others failed.

        Those that are at work come first, so that nothing else takes their turn. To be called at start; a job that is
        missed here is resumed when someone looks at it.
        """
        try:
            await self._adopt()
            unfinished = await asyncio.to_thread(self._unfinished)
            at_work = [job for job in unfinished if await self._launcher.status(job) is not None]
            for job in sorted(unfinished, key=lambda job: job not in at_work):
                # Looking at it writes down how it failed; also one that is at work may need someone to look after it.
                if not (await self._view(job, unfinished[job])).final:
                    await self._launcher.start(self._kind.order(job, unfinished[job]))
        except BookmillError as error:
            _log.warning("unfinished jobs were not resumed", extra={"reason": error.reason})

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Sees to unfinished jobs once before what is inside, and every minute during it.

        A failure that nobody looks at is written down before its launcher forgets it, and a job whose service died is
        taken over by the next.
        """
        await self.resume()
        task = asyncio.create_task(self._keep_up())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(KEEP_UP_SECONDS)
            await self.resume()

    async def close(self) -> None:
        """Stops what is at work here; it is resumed by whoever serves next."""
        await self._launcher.close()

    async def _resumed(self, job: str, spec: Spec) -> JobView[Spec, Result]:
        """Looks at a job; one that nobody runs is started, or says why it cannot be."""
        view, status = await self._look(job, spec)
        if view.state == object_pb2.STATE_CANCELLING and status is not None and status.phase is Phase.RUNNING:
            # Whoever cancelled it died before it had said so to the program.
            await self._launcher.stop(job)
        if view.final or status is not None:
            return view
        try:
            await self._launcher.start(self._kind.order(job, spec))
        except (Exhausted, Refused, PermissionDenied) as error:
            return replace(view, reason=_refusal(error.reason, error.message))
        return await self._view(job, spec)

    async def _view(self, job: str, spec: Spec) -> JobView[Spec, Result]:
        view, _ = await self._look(job, spec)
        return view

    async def _look(self, job: str, spec: Spec) -> tuple[JobView[Spec, Result], Status | None]:
        """Gives a job, and what its launcher says."""
        status = await self._launcher.status(job)
        return await asyncio.to_thread(self._read, job, spec, status), status

    def _read(self, job: str, spec: Spec, status: Status | None) -> JobView[Spec, Result]:
        name = self._kind.name(job)
        progress = self._records.progress(job)
        known = progress if progress.activity else None
        result = self._result(job)
        if result is not None:
            return JobView(name, spec, object_pb2.STATE_SUCCEEDED, progress=known, result=result)
        outcome = self._records.outcome(job)
        if outcome is None and status is not None and status.phase is Phase.FAILED:
            outcome = Outcome(FAILED, status.reason, status.message)
            # Told all the same where the store is full; whoever reads next tries to write it again.
            with suppress(Exhausted):
                self._records.put_outcome(job, outcome)
        if outcome is None and self._kind.step.key(spec) != job:
            outcome = Outcome(FAILED, "OUTDATED", "an earlier version of this step left it unfinished; create it anew")
        if outcome is not None:
            at_work = status is not None and status.phase in {Phase.RUNNING, Phase.STOPPING}
            states = _ENDING_STATES if at_work else _ENDED_STATES
            return JobView(name, spec, states[outcome.state], _refusal(outcome.reason, outcome.message), known)
        if status is None:
            return JobView(name, spec, object_pb2.STATE_PENDING, progress=known)
        return JobView(name, spec, _PHASE_STATES[status.phase], _refusal(status.reason, status.message), known)

    def _result(self, job: str) -> Result | None:
        return recorded(self._store, self._kind.step, job, self._kind.result_type)

    async def _find(self, name: str) -> tuple[str, Spec]:
        digits = self._kind.digits(name)
        found = await asyncio.to_thread(self._known, digits)
        if found is None:
            await self._adopt()
            found = await asyncio.to_thread(self._known, digits)
        if found is None:
            raise NotFound("NO_SUCH_JOB", f"there is no job {name!r}; List tells which there are")
        return found

    async def _adopt(self) -> None:
        """Writes down the jobs that someone made without a service, so that they are found like any other.

        One whose name is not that of its request, or whose request cannot be read, is left to its program, which
        refuses it.
        """
        requests = await self._launcher.requests()
        for name in requests.keys() - self._adopted:
            try:
                spec = ParseDict(json.loads(requests[name]), self._kind.spec_type())
            except (ValueError, ParseError):
                _log.warning("a job's request cannot be read", extra={"job_name": name})
            else:
                job = self._kind.step.key(spec)
                if self._kind.id(job) == name:
                    await asyncio.to_thread(self._records.put_request, self._kind.step, job, spec)
            self._adopted.add(name)

    def _known(self, digits: str) -> tuple[str, Spec] | None:
        return self._of_kind(next(self._records.jobs(digits), None))

    def _after(self, token: str, size: int) -> dict[str, Spec]:
        found: dict[str, Spec] = {}
        for job in self._records.jobs(after=token):
            if (known := self._of_kind(job)) is not None:
                found[job] = known[1]
                if len(found) == size:
                    break
        return found

    def _unfinished(self) -> dict[str, Spec]:
        ended = set(self._records.ended_jobs(self._kind.step))
        known = (self._of_kind(job) for job in self._records.jobs() if job not in ended)
        # What an earlier version of the step left is not this one's to finish.
        return {job: spec for job, spec in filter(None, known) if self._kind.step.key(spec) == job}

    def _of_kind(self, job: str | None) -> tuple[str, Spec] | None:
        if job is None:
            return None
        request = self._records.request(job, self._kind.step.name, self._kind.spec_type)
        return None if request is None else (job, request[1])


def _refusal(reason: str, message: str) -> object_pb2.Refusal | None:
    return object_pb2.Refusal(reason=reason, message=message) if reason else None
