"""What a job needs of its machine beside what the settings say, from the sizes of its inputs."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.errors import BookmillError, Unavailable
from services.jobs.launcher import Order


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one job."""

    disk_bytes: int = 0
    """What it reads and keeps on its machine's disk at a time."""
    memory_bytes: int = 0
    """0 where the settings alone say it."""


def needs_of(order: Order, compute: Callable[[Order], Needs]) -> Needs:
    """Asks what a job needs.

    Where that cannot be said, since its inputs are gone or are not what they should be, the least is given:
    the program finds the same and ends with a reason and a log, wherever the job was made.

    Raises:
        Unavailable: `STORE_UNAVAILABLE`.
    """
    try:
        return compute(order)
    except Unavailable:
        raise
    except BookmillError:
        return Needs()
