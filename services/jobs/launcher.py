"""What runs the programs of jobs: a process of this machine, or a Job on Kubernetes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from services.common.steps import Step


class Phase(Enum):
    """Where a job is, as its launcher sees it. Whether it succeeded only the store knows."""

    WAITING = auto()
    """Accepted; its program is not at work."""
    RUNNING = auto()
    """Its program is at work."""
    STOPPING = auto()
    """Its program is at work and was asked to stop."""
    FAILED = auto()
    """Given up; it will not be run again."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a launcher says of a job."""

    phase: Phase
    """Where it is."""
    reason: str = ""
    """Why it waits or failed: `QUEUED`, `CRASHED`, …; empty when there is nothing to say."""
    message: str = ""
    """The same for a person."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a launcher is given: everything that a program is started from."""

    step: Step
    """Whose result the program records."""
    job: str
    """The hash of the specification; a launcher runs one program of it at a time."""
    name: str
    """`train-<20 digits>`, a name that Kubernetes takes."""
    program: str
    """The module that is run: `services.train.job`."""
    request: str
    """The specification as JSON, which is all that the program is told. Holds no secret."""


class Launcher(Protocol):
    """Runs programs of jobs, each at most once at a time, and again where its end asks for it.

    The exit code decides (`services.jobs.exits`): 0 ends the job, 75 runs it again, 42 to 45 fail it, and
    anything else runs it again three times at the most. Before a program is run again the launcher looks for an
    outcome in the store: a job that has one (it was cancelled, from wherever) is left alone.

    A launcher keeps nothing that must outlive it: what is unfinished is found in the store by whoever starts next,
    and given to `start` again.
    """

    async def start(self, order: Order) -> None:
        """Makes sure that a job is at work.

        Returns when the order is taken, which is before the program runs. Where the job waits or runs already,
        through this launcher or another of the same machine or cluster, nothing changes. One that ended before,
        however it did, or that is still stopping, is run anew: the caller decides whether that is wanted, and has
        removed its outcome.

        Raises:
            Exhausted: `TOO_MANY_JOBS`, or `DISK_FULL`.
            Unavailable: `STOPPING`, or the machinery does not answer; try again.
        """

    async def status(self, job: str) -> Status | None:
        """Says where a job is; None when nothing is known of it: never started, or ended.

        Read it before the store's records: an end is recorded first and forgotten here afterwards. That a job
        `FAILED` is said where the launcher could not record the outcome itself; the reader does.
        """

    async def stop(self, job: str) -> None:
        """Asks a job to stop, and returns at once.

        The program gets SIGTERM, and SIGKILL after the grace period. The caller has recorded the outcome, so that
        it is not run again. Nothing happens where it is not at work.
        """

    async def requests(self) -> Mapping[str, str]:
        """Gives the request of each job that the launcher has, by the job's name: someone may have made one by hand.

        Raises:
            Unavailable: the machinery does not answer.
        """

    def manifest(self, order: Order) -> str:
        """Gives what would be submitted for an order, as YAML; empty where nothing is. May block.

        Raises:
            Unavailable: the store does not answer.
        """

    async def close(self) -> None:
        """Ends what cannot outlive this launcher: its processes save their state. Returns when they are gone."""
