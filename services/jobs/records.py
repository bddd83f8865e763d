"""What the store knows of a job beside its result: small records, each under a name made of its hash.

| key | written by | holds |
|---|---|---|
| `jobs/<hash>/request.json` | the service, or the program of a Job made by hand | the step and its specification |
| `jobs/<hash>/progress.json` | the program | how far it is, overwritten |
| `jobs/<hash>/attempts.json` | the program | how often it was started, and with which checkpoints |
| `jobs/<hash>/outcome.json` | the program, its launcher or the service | why it ended without a result |
| `logs/<hash>/<attempt>.json` | the program | the lines of its log |
| `checkpoints/<hash>/…` | the program's body | what an interrupted attempt goes on from |

A job succeeded when the result of its step is recorded (`services.common.steps`), whatever these say.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from bookmill.v1 import object_pb2
from services.common.canonical import JSON
from services.common.errors import Corrupt
from services.common.steps import Step, to_json
from services.common.storage import Store

Spec = TypeVar("Spec", bound=Message)

CANCELLED = "CANCELLED"
FAILED = "FAILED"

_REQUEST = re.compile(r"jobs/([0-9a-f]{64})/request\.json")
_OUTCOME = re.compile(r"jobs/([0-9a-f]{64})/outcome\.json")
_RESULT = re.compile(r"results/[a-z_]+/([0-9a-f]{64})\.json")
# A checkpoint counts when what is written last is there: a folder's manifest, or a record of one.
_CHECKPOINT = re.compile(r"checkpoints/[0-9a-f]{64}/([^/]+\.json|.+/manifest\.json)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a job that has no result."""

    state: str
    """`FAILED` or `CANCELLED`."""
    reason: str
    """UPPER_SNAKE."""
    message: str
    """For a person."""
    exit_code: int = 0
    """Of the program; 0 when it was not the program that ended it."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Details that programs may read."""

    def to_json(self) -> dict[str, JSON]:
        """Gives the record."""
        return {
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "exit_code": self.exit_code,
            "metadata": self.metadata,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads the record."""
        return cls(value["state"], value["reason"], value["message"], int(value["exit_code"]), dict(value["metadata"]))


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a job's program was started."""

    total: int = 0
    """Starts, the one at work included."""
    without_progress: int = 0
    """Starts since a checkpoint was last made, the one at work included."""
    checkpoints: tuple[str, ...] = ()
    """Keys of the checkpoints there were at the latest start."""


class JobRecords:
    """The records of jobs. Every call blocks; see `Store` for what it may raise."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_request(self, step: Step, job: str, spec: Message) -> None:
        """Writes down what a job is to do; equal jobs write equal bytes."""
        key = f"jobs/{job}/request.json"
        if self._store.stat(key) is None:
            self._store.put_record(key, {"step": step.name, "version": step.version, "spec": to_json(spec)})

    def request(self, job: str, step: str, spec_type: type[Spec]) -> tuple[int, Spec] | None:
        """Reads what a job is to do.

        Args:
            job: its hash.
            step: the name of the step that is looked for.
            spec_type: the step's specification.

        Returns:
            The step's version and the specification; None when there is no such job of this step.

        Raises:
            Corrupt: `CORRUPT_RECORD`.
        """
        key = f"jobs/{job}/request.json"
        value = self._store.get_record(key)
        if value is None:
            return None
        try:
            if value["step"] != step:
                return None
            return int(value["version"]), ParseDict(value["spec"], spec_type(), ignore_unknown_fields=True)
        except (ParseError, KeyError, TypeError, ValueError) as error:
            raise Corrupt("CORRUPT_RECORD", f"the record {key} is no job's request; delete it") from error

    def jobs(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """Lists the hashes of jobs that begin with `prefix` and come after `after`, in order."""
        for key in self._store.list(f"jobs/{prefix}"):
            match = _REQUEST.fullmatch(key)
            if match and match[1] > after:
                yield match[1]

    def progress(self, job: str) -> object_pb2.Progress:
        """Reads how far a job is, empty when nothing is known."""
        value = self._store.get_record(f"jobs/{job}/progress.json")
        progress: object_pb2.Progress = ParseDict(value or {}, object_pb2.Progress(), ignore_unknown_fields=True)
        return progress

    def put_progress(self, job: str, progress: object_pb2.Progress) -> None:
        """Writes how far a job is."""
        self._store.put_record(f"jobs/{job}/progress.json", to_json(progress))

    def outcome(self, job: str) -> Outcome | None:
        """Reads why a job ended without a result; None while it has not."""
        value = self._store.get_record(f"jobs/{job}/outcome.json")
        return None if value is None else Outcome.from_json(value)

    def put_outcome(self, job: str, outcome: Outcome) -> None:
        """Writes why a job ended; the first one that is written stands."""
        key = f"jobs/{job}/outcome.json"
        if self._store.stat(key) is None:
            self._store.put_record(key, outcome.to_json())

    def ended(self, step: Step, job: str) -> bool:
        """Says whether a job has a result or an outcome."""
        keys = (step.record_key(job), f"jobs/{job}/outcome.json")
        return any(self._store.stat(key) is not None for key in keys)

    def ended_jobs(self, step: Step) -> Iterator[str]:
        """Lists the hashes of jobs that have a result of a step, or an outcome."""
        for prefix, form in ((f"results/{step.name}/", _RESULT), ("jobs/", _OUTCOME)):
            for key in self._store.list(prefix):
                if match := form.fullmatch(key):
                    yield match[1]

    def reopen(self, job: str) -> None:
        """Lets a job that ended without a result be run again."""
        self.forgive_attempts(job)
        self._store.delete(f"jobs/{job}/progress.json")
        self._store.delete(f"jobs/{job}/outcome.json")

    def forgive_attempts(self, job: str) -> None:
        """Counts attempts without progress from 0 again."""
        attempts = self._attempts(job)
        self._put_attempts(job, Attempts(attempts.total, 0, attempts.checkpoints))

    def begin_attempt(self, job: str) -> Attempts:
        """Counts a start of the program. There is one program of a job at a time.

        Returns:
            The count with this start in it. A start after a new checkpoint is the first without progress again.
        """
        before = self._attempts(job)
        checkpoints = tuple(k for k in self._store.list(f"checkpoints/{job}/") if _CHECKPOINT.fullmatch(k))
        progressed = not set(checkpoints) <= set(before.checkpoints)
        now = Attempts(before.total + 1, 1 if progressed else before.without_progress + 1, checkpoints)
        self._put_attempts(job, now)
        return now

    def put_log(self, job: str, attempt: int, lines: Sequence[str]) -> None:
        """Writes the log of an attempt, lines of JSON."""
        self._store.put_record(f"logs/{job}/{attempt:03d}.json", {"lines": [json.loads(line) for line in lines]})

    def _attempts(self, job: str) -> Attempts:
        value = self._store.get_record(f"jobs/{job}/attempts.json")
        if value is None:
            return Attempts()
        return Attempts(value["total"], value["without_progress"], tuple(value["checkpoints"]))

    def _put_attempts(self, job: str, attempts: Attempts) -> None:
        self._store.put_record(
            f"jobs/{job}/attempts.json",
            {
                "total": attempts.total,
                "without_progress": attempts.without_progress,
                "checkpoints": list(attempts.checkpoints),
            },
        )
