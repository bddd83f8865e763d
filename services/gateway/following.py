"""Follows a job of the train or the export service: makes it, pins its name, watches it to its end."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from bookmill.v1 import export_pb2, object_pb2, train_pb2
from services.common import clients
from services.common.errors import BookmillError, Exhausted, Internal, NotFound, Refused
from services.gateway.context import Context
from services.gateway.patience import DOWN, Waiting, ask, pause

# A service that made a job may see it, too, unless its rights are being changed: a release that is removed loses them
# before its pods are gone, and the run is to go on with the next.
_OUT_OF_SIGHT = DOWN | {"CLUSTER_FORBIDDEN"}
_ASKED_AGAIN = 5  # times that a job is made anew after another run cancelled it


@dataclass(frozen=True, slots=True)
class JobKind:
    """What differs between the two services' jobs."""

    service: str
    create: Any
    watch: Any
    cancel: Any
    create_request: type[Any]
    watch_request: type[Any]
    cancel_request: type[Any]
    job: type[Any]


def kind_of(context: Context) -> JobKind:
    """Gives the kind of job that the stage of this name follows."""
    if context.stage == "train":
        train = context.peers.train
        return JobKind(
            "train",
            train.CreateTrainingJob,
            train.WatchTrainingJob,
            train.CancelTrainingJob,
            train_pb2.CreateTrainingJobRequest,
            train_pb2.WatchTrainingJobRequest,
            train_pb2.CancelTrainingJobRequest,
            train_pb2.TrainingJob,
        )
    export = context.peers.export
    return JobKind(
        "export",
        export.CreateExportJob,
        export.WatchExportJob,
        export.CancelExportJob,
        export_pb2.CreateExportJobRequest,
        export_pb2.WatchExportJobRequest,
        export_pb2.CancelExportJobRequest,
        export_pb2.ExportJob,
    )


async def follow(context: Context, spec: Any) -> Any:
    """Makes the stage's job, or takes up the one whose name is pinned, and waits for its end.

    Args:
        context: the stage's, `train` or `export`.
        spec: a TrainingSpec or an ExportSpec.

    Returns:
        The job, which succeeded.

    Raises:
        Refused: the job failed, with its own reason.
        BookmillError: the service declined to make it.
    """
    kind = kind_of(context)
    pinned = await asyncio.to_thread(context.runs.started, context.run, context.stage)
    job = kind.job(name=pinned["job"]) if pinned is not None else await _made(context, kind, spec)
    if job.state == object_pb2.STATE_SUCCEEDED:  # at once: from the record
        context.meter.count_recorded()
    for _ in range(_ASKED_AGAIN):
        if job.state != object_pb2.STATE_SUCCEEDED:
            try:
                job = await _watched(context, kind, job.name)
            except NotFound:  # the pinned one is gone, its record too: made anew it has the same name
                job = await _made(context, kind, spec)
                continue
        if job.state == object_pb2.STATE_SUCCEEDED:
            return job
        if job.state == object_pb2.STATE_FAILED:
            raise Refused(job.reason.reason or "JOB_FAILED", job.reason.message or f"{job.name} failed", job=job.name)
        # Cancelled, and not by this run, which would not be here: another run shared the job. It goes on from its
        # checkpoint.
        job = await _made(context, kind, spec)
    raise Refused(
        "JOB_CANCELLED", f"{job.name} was cancelled {_ASKED_AGAIN} times; run again when no one does", job=job.name
    )


async def cancel(context: Context, name: str) -> None:
    """Cancels a job; one that does not exist is no error."""
    kind = kind_of(context)
    request = kind.cancel_request(name=name)
    try:
        await ask(context, kind.service, kind.cancel, request, kind.job, context.settings.call_seconds)
    except NotFound:
        return


async def _made(context: Context, kind: JobKind, spec: Any) -> Any:
    # Once the service has been asked, the name must be pinned even if the run is cancelled meanwhile: a job that no one
    # knows of would go on for hours.
    making = asyncio.ensure_future(_make_and_pin(context, kind, spec))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        if not making.done():
            await asyncio.wait((making,), timeout=5.0)
            making.cancel()
        raise


async def _make_and_pin(context: Context, kind: JobKind, spec: Any) -> Any:
    # `retry`: this run asks for the first time, or a job that others cancelled anew. Whether an older one failed is
    # no reason not to try.
    request = kind.create_request(spec=spec, retry=True)
    begun = time.monotonic()
    tries = 0
    while True:
        try:
            job, _ = await ask(context, kind.service, kind.create, request, kind.job, context.settings.call_seconds)
            break
        except Exhausted as error:
            if error.reason != "TOO_MANY_JOBS" or time.monotonic() - begun > context.settings.queue_seconds:
                raise
            tries += 1
            context.meter.waiting(f"waiting for a place: {error.message}"[:200])
            await asyncio.sleep(pause(tries, context.settings.backoff_seconds))
            context.meter.going_on()
    await asyncio.to_thread(context.runs.start_stage, context.run, context.stage, time.time(), job.name)
    return job


async def _watched(context: Context, kind: JobKind, name: str) -> Any:
    """Watches until the state is final; a watch that breaks off is taken up again."""
    waiting = Waiting(context, kind.service, _OUT_OF_SIGHT)
    final = {object_pb2.STATE_SUCCEEDED, object_pb2.STATE_FAILED, object_pb2.STATE_CANCELLED}
    while True:
        try:
            async for job in clients.stream(kind.watch, kind.watch_request(name=name), kind.job, None):
                waiting.answered()
                _show(context, job)
                if job.state in final:
                    return job
            raise Internal("GRPC_CANCELLED", f"the {kind.service} service ended the watch of {name} before its end")
        except NotFound:
            raise
        except BookmillError as error:
            if error.code.name != "UNAVAILABLE" and error.reason not in _OUT_OF_SIGHT:
                raise
            await waiting.after(error)


def _show(context: Context, job: Any) -> None:
    if job.progress.ByteSize():
        context.meter.show(job.progress)
    if job.reason.reason and job.state in {object_pb2.STATE_PENDING, object_pb2.STATE_RUNNING}:
        context.meter.say(f"{job.reason.reason}: {job.reason.message}"[:200])
