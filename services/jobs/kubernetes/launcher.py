"""The launcher that runs jobs as Jobs of Kubernetes.

The cluster does what the local launcher does itself: it runs one pod of a Job at a time, again where its end asks for
it, and keeps a second Job of the same name out. Nothing is kept here but what was seen in the last second.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import yaml

from services.common.errors import BookmillError, Unavailable
from services.jobs.kubernetes.api import Cluster, Object
from services.jobs.kubernetes.manifest import COMPONENT, INSTANCE, NAME, REQUEST, labels, manifest
from services.jobs.kubernetes.needs import Needs, needs_of
from services.jobs.kubernetes.reasons import is_deleting, is_over, needs_events, status_of
from services.jobs.kubernetes.settings import ClusterSettings
from services.jobs.launcher import Order, Phase, Status
from services.jobs.records import JobRecords

T = TypeVar("T")

RECENT_SECONDS = 1.0
"""A state this old is given again, so that many who watch one job cost the API no more than one."""

_GONE_SECONDS = 0.5  # between two looks whether a Job is gone
_PATIENCE_SECONDS = 300.0  # beyond the grace period, for a Job that is to be replaced
_THREADS = 8
_MADE = "Created pod: "
_REPLACING = Status(Phase.WAITING, "STOPPING", "waits until the pod before it has stopped")

_log = logging.getLogger(__name__)


class KubernetesLauncher:
    """Runs jobs of one kind as Jobs; see `Launcher` for what it promises."""

    def __init__(
        self,
        settings: ClusterSettings,
        component: str,
        needs: Callable[[Order], Needs],
        name: Callable[[str], str],
        records: JobRecords,
    ) -> None:
        """Makes a launcher, which asks the cluster nothing before `connect`.

        Args:
            settings: of the cluster.
            component: `TRAINER` or `EXPORTER`.
            needs: says what an order's job needs; blocks, and may raise what the store raises.
            name: gives a Job's name from a job's hash.
            records: of the store that the jobs work with.
        """
        self._settings = settings
        self._component = component
        self._needs = needs
        self._name = name
        self._records = records
        self._cluster: Cluster | None = None
        self._owner_uid = ""
        self._recent: dict[str, tuple[float, Status | None]] = {}
        self._replacing: dict[str, asyncio.Task[None]] = {}
        # Of its own: a cluster that does not answer must not keep others from the store.
        self._threads = ThreadPoolExecutor(_THREADS, "cluster")

    async def connect(self) -> None:
        """Finds the cluster and the object that is to own the Jobs.

        Raises:
            NotFound: `NO_SUCH_OWNER`.
            Unavailable: `NO_CLUSTER`, `CLUSTER_UNAVAILABLE`.
            PermissionDenied: `CLUSTER_FORBIDDEN`.
        """
        self._cluster = await self._asked(Cluster, self._settings.namespace)
        if self._settings.owner is not None:
            self._owner_uid = await self._asked(self._cluster.uid, self._settings.owner)

    async def start(self, order: Order) -> None:
        """See `Launcher`. A Job that has ended is deleted first, and the new one made when its pods are gone.

        Raises:
            Refused: `JOB_REFUSED`: the cluster does not take the Job.
            PermissionDenied: `CLUSTER_FORBIDDEN`.
        """
        self._recent.pop(order.job, None)
        if order.job in self._replacing or await self._asked(self._is_alive, order.name):
            return
        body = await asyncio.to_thread(self._body, order)
        if await self._asked(self._make, body):
            return
        if order.job not in self._replacing:
            task = asyncio.create_task(self._replaced(order, body))
            self._replacing[order.job] = task
            task.add_done_callback(lambda task: self._forget(order.job, task))

    async def status(self, job: str) -> Status | None:
        """See `Launcher`."""
        if job in self._replacing:
            return _REPLACING
        seen, status = self._recent.get(job, (0.0, None))
        if seen and time.monotonic() - seen < RECENT_SECONDS:
            return status
        status = await self._asked(self._look, self._name(job))
        now = time.monotonic()
        self._recent = {key: value for key, value in self._recent.items() if now - value[0] < RECENT_SECONDS}
        # A failure is written down by whoever reads it, which must not happen once the Job has been replaced.
        if status is None or status.phase is not Phase.FAILED:
            self._recent[job] = now, status
        return status

    async def stop(self, job: str) -> None:
        """See `Launcher`. The Job is deleted; it is there until its pod has stopped."""
        self._recent.pop(job, None)
        if (task := self._replacing.pop(job, None)) is not None:
            task.cancel()
        await self._asked(self._api.delete_job, self._name(job))
        self._recent.pop(job, None)

    async def requests(self) -> Mapping[str, str]:
        """See `Launcher`."""
        chosen = {key: value for key, value in self._labels().items() if key in {NAME, INSTANCE, COMPONENT}}
        jobs = await self._asked(lambda: list(self._api.jobs(chosen)))
        return {job["metadata"]["name"]: request for job in jobs if (request := _request(job))}

    def manifest(self, order: Order) -> str:
        """See `Launcher`. Blocks."""
        return render(self._body(order))

    async def close(self) -> None:
        """See `Launcher`. Jobs live on."""
        tasks = list(self._replacing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._cluster is not None:
            await self._asked(self._cluster.close)
        self._threads.shutdown(wait=False)

    @property
    def _api(self) -> Cluster:
        if self._cluster is None:
            raise Unavailable("NO_CLUSTER", "the launcher is not connected")
        return self._cluster

    async def _asked(self, call: Callable[..., T], *arguments: Any) -> T:
        """Makes a call that blocks, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def _labels(self) -> dict[str, str]:
        return labels(self._settings, self._component)

    def _body(self, order: Order) -> Object:
        needs = needs_of(order, self._needs)
        return manifest(order, self._settings, self._component, needs, self._owner_uid)

    def _is_alive(self, name: str) -> bool:
        job = self._api.job(name)
        return job is not None and not is_over(job)

    def _make(self, body: Object) -> bool:
        """Makes a Job, or begins to make room for it.

        Returns:
            Whether it is there: False when one that is over has its name.
        """
        name = body["metadata"]["name"]
        if self._api.create_job(body):
            _log.info("made a Job", extra={"job_name": name})
            return True
        there = self._api.job(name)
        if there is None:
            return False
        if not is_over(there):
            return True
        if not is_deleting(there):
            self._api.delete_job(name, there["metadata"]["uid"])
        return False

    async def _replaced(self, order: Order, body: Object) -> None:
        """Makes a Job as soon as the one before is gone."""
        until = time.monotonic() + self._settings.termination_grace_period_seconds + _PATIENCE_SECONDS
        while time.monotonic() < until:
            await asyncio.sleep(_GONE_SECONDS)
            try:
                # Cancelled meanwhile, from wherever: then it is not made.
                if await asyncio.to_thread(self._records.outcome, order.job) is not None:
                    return
                if await self._asked(self._make, body):
                    return
            except BookmillError as error:
                _log.warning("a Job was not made yet", extra={"job_name": order.name, "reason": error.reason})
        _log.error("a Job was not replaced: the one before it does not go", extra={"job_name": order.name})

    def _forget(self, job: str, task: asyncio.Task[None]) -> None:
        if self._replacing.get(job) is task:
            del self._replacing[job]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a Job was not replaced", exc_info=error, extra={"job": job})

    def _look(self, name: str) -> Status | None:
        job = self._api.job(name)
        if job is None:
            return None
        pods = self._api.pods(job)
        events = self._events(job, pods) if needs_events(job, pods) else []
        return status_of(job, pods, events)

    def _events(self, job: Object, pods: list[Object]) -> list[Object]:
        """Lists events of the Job, of its newest pod, and of the newest that is gone."""
        events = self._api.events(uid=job["metadata"]["uid"])
        if pods:
            events += self._api.events(uid=pods[-1]["metadata"]["uid"])
        there = {pod["metadata"]["name"] for pod in pods}
        made = [event for event in events if event.get("message", "").startswith(_MADE)]
        made.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        gone = [name for event in made if (name := event["message"].removeprefix(_MADE)) not in there]
        return events + (self._api.events(name=gone[-1]) if gone else [])


def render(body: Object) -> str:
    """Gives a manifest as YAML; equal ones give equal text."""
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=1_000_000)


def _request(job: Object) -> str:
    annotations = job["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(REQUEST, ""))
