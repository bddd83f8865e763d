import errno

import pytest

from services.common.errors import Corrupt, Exhausted, Internal, NotFound, Unavailable
from services.jobs.exits import BadConfiguration, Interrupted, NotFinite, ParityFailed, judge


class OutOfMemoryError(RuntimeError):
    """As torch.cuda names it."""


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (BadConfiguration("NO_SPLIT", "no train split"), 42, "NO_SPLIT"),
        (BadConfiguration(message="no"), 42, "BAD_CONFIGURATION"),
        (ParityFailed(message="f16 lies 3 % off"), 42, "PARITY"),
        (NotFinite(), 44, "NOT_FINITE"),
        (Interrupted(), 75, "INTERRUPTED"),
        (NotFound("NO_SUCH_OBJECT", "gone"), 42, "NO_SUCH_OBJECT"),
        (Corrupt("CORRUPT_OBJECT", "changed"), 42, "CORRUPT_OBJECT"),
        (Exhausted("DISK_FULL", "full"), 42, "DISK_FULL"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 42, "DISK_FULL"),
        (MemoryError(), 43, "OUT_OF_MEMORY"),
        (OutOfMemoryError("CUDA out of memory"), 43, "OUT_OF_MEMORY"),
    ],
)
def test_an_end_that_no_attempt_changes(error: Exception, code: int, reason: str) -> None:
    end = judge(error)
    assert end is not None
    assert (end.exit_code, end.reason) == (code, reason)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("STORE_UNAVAILABLE", "no answer"),
        Internal("DEFECT", "ours"),
        RuntimeError("a defect"),
        OSError(errno.EIO, "Input/output error"),
        KeyError("x"),
    ],
)
def test_a_crash_is_worth_another_attempt(error: Exception) -> None:
    assert judge(error) is None
