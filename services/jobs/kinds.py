"""The two kinds of jobs as values, and what is told of one job."""

import json
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from bookmill.v1 import object_pb2
from services.common.errors import NotFound
from services.common.steps import Step, to_json
from services.jobs.launcher import Order

Spec = TypeVar("Spec", bound=Message)
Result = TypeVar("Result", bound=Message)

ID_DIGITS = 20
"""Of the hash: enough that no two meet, few enough for a Job's name and its pods'."""


@dataclass(frozen=True, slots=True)
class JobKind(Generic[Spec, Result]):
    """What sets one kind of job apart."""

    step: Step
    """Its key of a specification is the job's hash."""
    spec_type: type[Spec]
    result_type: type[Result]
    collection: str
    """`trainingJobs`."""
    prefix: str
    """`train`."""
    program: str
    """The module to run."""

    def name(self, job: str) -> str:
        """Gives a job's resource name from its hash."""
        return f"{self.collection}/{self.id(job)}"

    def id(self, job: str) -> str:
        """Gives the last part of a job's resource name, which is the name of its Job on Kubernetes."""
        return f"{self.prefix}-{job[:ID_DIGITS]}"

    def digits(self, name: str) -> str:
        """Gives the digits of the hash that a resource name holds.

        Raises:
            NotFound: `NO_SUCH_JOB`.
        """
        match = re.fullmatch(rf"{self.collection}/{self.prefix}-([0-9a-f]{{{ID_DIGITS}}})", name)
        if match is None:
            form = f"{self.collection}/{self.prefix}-<{ID_DIGITS} hexadecimal digits>"
            raise NotFound("NO_SUCH_JOB", f"there is no job {name!r}; a name has the form {form}")
        return match[1]

    def order(self, job: str, spec: Spec) -> Order:
        """Gives what a launcher is to run."""
        request = json.dumps(to_json(spec), sort_keys=True, ensure_ascii=False)
        # YAML would take them for the ends of lines.
        for end in ("\x85", "\u2028", "\u2029"):
            request = request.replace(end, f"\\u{ord(end):04x}")
        return Order(self.step, job, self.id(job), self.program, request)


@dataclass(frozen=True, slots=True)
class JobView(Generic[Spec, Result]):
    """A job as a caller sees it."""

    name: str
    """Its resource name."""
    spec: Spec
    """Complete."""
    state: object_pb2.State.ValueType
    """Where it is."""
    reason: object_pb2.Refusal | None = None
    """Why it waits or has failed."""
    progress: object_pb2.Progress | None = None
    """How far it is; None when nothing is known."""
    result: Result | None = None
    """Of a job that succeeded."""
    manifest: str = ""
    """What would be submitted, of one that is only validated."""

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in {object_pb2.STATE_SUCCEEDED, object_pb2.STATE_FAILED, object_pb2.STATE_CANCELLED}

    @property
    def size(self) -> int:
        """Bytes that it takes in a message, about."""
        parts = (self.spec, self.reason, self.progress, self.result)
        return len(self.name) + sum(part.ByteSize() for part in parts if part is not None)
