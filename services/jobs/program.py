"""Runs the body of a job as a program: `python -m services.<x>.job REQUEST_FILE`.

The body is a function of a specification. Everything around it is here and the same for every job:
the answer from the record, the count of attempts, signals, exit codes (`services.jobs.exits`), progress, log
and scratch files.
"""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from bookmill.v1 import object_pb2
from services.common.errors import BookmillError, PermissionDenied
from services.common.settings import StoreSettings, load
from services.common.steps import Step, record, recorded
from services.common.storage import Store
from services.common.telemetry import configure
from services.jobs.exits import CRASHED, FINISHED, BadConfiguration, Interrupted, JobError, NoProgress, judge
from services.jobs.kinds import ID_DIGITS
from services.jobs.records import FAILED, JobRecords, Outcome
from services.jobs.reporting import Logbook, Reporter
from services.jobs.settings import ProgramSettings
from services.jobs.signals import StopFlag, stop_on_signals
from services.jobs.telling import tell

ATTEMPTS = 5
"""Attempts in a row that may end without a new checkpoint. Interruptions leave no count in a Job's status,
so that without this one a job that never gets anywhere would be run for ever."""

Spec = TypeVar("Spec", bound=Message)
Result = TypeVar("Result", bound=Message)

_MAX_MESSAGE = 2000  # characters; it travels in the job's message

_log = logging.getLogger(__name__)


def _nowhere(_: object_pb2.Progress) -> None: ...


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job's body works with beside its specification."""

    store: Store
    job: str
    """The specification's hash. Checkpoints live under `checkpoints/<job>/`, the file that completes one last: a
    `manifest.json` in a folder, or a `.json` record directly there. A new one of these is what counts as progress."""
    scratch: Path
    """An empty folder for big files; removed afterwards."""
    stop: StopFlag
    """Its `requested` turns True at SIGTERM: save the state and raise `Interrupted`, within the grace period."""
    threads: int = 2
    """Threads of arithmetic (`torch.set_num_threads`); digests depend on it."""
    sink: Callable[[object_pb2.Progress], None] = _nowhere
    """Where progress goes."""

    def report(
        self,
        activity: str,
        completed: int,
        total: int,
        unit: str,
        remaining_seconds: float | None = None,
        **figures: float,
    ) -> None:
        """Tells how far the job is. Returns at once and never fails; the store sees the latest every 2 s.

        Args:
            activity: what is being done, for a person.
            completed: units done.
            total: units in all, 0 when unknown.
            unit: what is counted: `steps`, `bytes`.
            remaining_seconds: to the end of the job, None when unknown.
            figures: of the moment, by name: `loss`.
        """
        progress = object_pb2.Progress(activity=activity, completed=completed, total=total, unit=unit, figures=figures)
        if remaining_seconds is not None:
            progress.remaining_seconds = remaining_seconds
        self.sink(progress)


def run(
    step: Step,
    spec_type: type[Spec],
    result_type: type[Result],
    body: Callable[[Spec, JobContext], Result],
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs a job and gives the program's exit code.

    Args:
        step: the job's step; its key of the specification is the job's hash.
        spec_type: the specification's message.
        result_type: the result's message.
        body: computes the result. All objects that the result refers to are in the store when it returns. It may be
            started again at any time and goes on from its own checkpoints. What it raises ends the job as
            `services.jobs.exits.judge` says; while a stop is requested, any other error counts as an interruption.
        arguments: of the program, one file that holds the specification as JSON with the proto's names;
            `sys.argv[1:]` when None.

    Returns:
        The exit code, as `services.jobs.exits` lists them.
    """
    stop = stop_on_signals()
    configure(step.name)
    logging.captureWarnings(True)
    settings = load(ProgramSettings)
    if settings.lock is not None:
        settings.lock.write_text(str(os.getpid()), encoding="ascii")
    store = Store(load(StoreSettings))
    try:
        spec = _read(sys.argv[1:] if arguments is None else arguments, spec_type)
    except BadConfiguration as error:
        return _refused(error, settings)
    job = step.key(spec)
    if settings.name and not settings.name.endswith(f"-{job[:ID_DIGITS]}"):
        # Under another name the job could run twice at a time, and no service would find it.
        wanted = f"the Job's name is {settings.name!r}, its request's ends with '-{job[:ID_DIGITS]}': name it so"
        return _refused(BadConfiguration("WRONG_NAME", f"{wanted}, or take a manifest of validate_only"), settings)
    try:
        if recorded(store, step, job, result_type) is not None:
            _log.info("the result is recorded already", extra={"job": job})
            return FINISHED
        return _attempt(step, job, spec, body, store, settings, stop)
    except BookmillError as error:
        # Before the body, after it, or while its end was written down: the store has failed.
        _log.exception("the job cannot go on", extra={"job": job, "reason": error.reason})
        tell(settings.end_file, error.reason, error.message)
        if isinstance(error, PermissionDenied):
            return BadConfiguration.exit_code  # of no attempt will the store take these keys
        return Interrupted.exit_code if stop.requested else CRASHED


def _attempt(
    step: Step,
    job: str,
    spec: Spec,
    body: Callable[[Spec, JobContext], Result],
    store: Store,
    settings: ProgramSettings,
    stop: StopFlag,
) -> int:
    """Makes one attempt: body, then result record, or outcome."""
    records = JobRecords(store)
    records.put_request(step, job, spec)
    if (outcome := records.outcome(job)) is not None:
        _log.error(
            "this job has ended before; it is run again only when asked to", extra={"outcome": outcome.to_json()}
        )
        tell(settings.end_file, outcome.reason, outcome.message)
        return outcome.exit_code or BadConfiguration.exit_code
    attempts = records.begin_attempt(job)
    root = logging.getLogger()
    logbook = Logbook(root.handlers[0].formatter)
    root.addHandler(logbook)

    def work() -> None:
        if attempts.without_progress > ATTEMPTS:
            raise NoProgress(message=f"{ATTEMPTS} attempts in a row ended without a new checkpoint; the logs say why")
        _log.info("begins", extra={"job": job, "attempt": attempts.total})
        with tempfile.TemporaryDirectory(
            prefix=f"{job[:20]}-", dir=settings.scratch, ignore_cleanup_errors=True
        ) as scratch:
            context = JobContext(store, job, Path(scratch), stop, settings.threads, reporter.report)
            result = body(spec, context)
            reporter.flush()  # who sees the result sees the end of the work as well
            record(store, step, job, spec, result)
        records.forgive_attempts(job)
        _log.info("finished", extra={"job": job})

    try:
        with Reporter(records, job, attempts.total, logbook) as reporter:
            return _judged(records, job, stop, work, settings)
    finally:
        root.removeHandler(logbook)


def _judged(records: JobRecords, job: str, stop: StopFlag, work: Callable[[], None], settings: ProgramSettings) -> int:
    """Turns what the work raises into an exit code, and a final end into an outcome."""
    try:
        work()
    except Interrupted as error:
        _log.info("interrupted: %s", error.message)
        tell(settings.end_file, error.reason, error.message)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (every end has its exit code)
        end = judge(error)
        if end is None:
            _log.exception("interrupted with an error" if stop.requested else "crashed")
            known = error.reason if isinstance(error, BookmillError) else "CRASHED"
            tell(settings.end_file, known, f"{type(error).__name__}: {error}")
            return Interrupted.exit_code if stop.requested else CRASHED
        _log.exception("failed", extra={"reason": end.reason})
        tell(settings.end_file, end.reason, end.message)
        _put_outcome(records, job, end)
        return end.exit_code
    return FINISHED


def _refused(error: BadConfiguration, settings: ProgramSettings) -> int:
    _log.error(str(error), extra={"reason": error.reason})
    tell(settings.end_file, error.reason, error.message)
    return error.exit_code


def _put_outcome(records: JobRecords, job: str, end: JobError) -> None:
    message = (end.message or end.reason)[:_MAX_MESSAGE]
    outcome = Outcome(FAILED, end.reason, message, end.exit_code, end.metadata)
    try:
        records.put_outcome(job, outcome)
    except BookmillError as error:
        # The exit code still says what happened, and whoever runs the job writes an outcome from it.
        _log.warning("the outcome was not written", extra={"reason": error.reason})


def _read(arguments: Sequence[str], spec_type: type[Spec]) -> Spec:
    """Reads the specification.

    Raises:
        BadConfiguration: `BAD_REQUEST`.
    """
    if len(arguments) != 1:
        raise BadConfiguration("BAD_REQUEST", f"one argument is needed, the request's file; got {list(arguments)!r}")
    try:
        value = json.loads(Path(arguments[0]).read_bytes())
        if not isinstance(value, dict):
            raise BadConfiguration("BAD_REQUEST", f"{arguments[0]!r} holds no JSON object")
        return ParseDict(value, spec_type())
    except (OSError, ValueError, ParseError) as error:
        raise BadConfiguration("BAD_REQUEST", f"{arguments[0]!r} is no {spec_type.DESCRIPTOR.name}: {error}") from error
