"""Limits of a publication."""

import time

import pytest

from services.common.errors import BookmillError
from services.export.patience import Busy, Patience


def run(patience: Patience, failures: int, wait: float | None = None) -> int:
    calls = 0

    def operation() -> int:
        nonlocal calls
        calls += 1
        if calls <= failures:
            raise Busy("500", wait)
        return calls

    try:
        return patience.repeat(operation)
    finally:
        assert calls <= patience.attempts


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_it_goes_on_until_it_works(failures: int) -> None:
    assert run(Patience(10, 4, 0.001, 1), failures) == failures + 1


def test_it_ends_after_its_attempts() -> None:
    with pytest.raises(Busy, match="500"):
        run(Patience(10, 4, 0.001, 1), 4)


def test_it_waits_as_it_is_asked_and_no_longer_than_it_wants() -> None:
    started = time.monotonic()
    assert run(Patience(10, 2, 0.0, 1), 1, wait=0.2) == 2
    assert time.monotonic() - started >= 0.2
    started = time.monotonic()
    with pytest.raises(Busy, match="asks to wait 5 s"):
        run(Patience(10, 2, 0.0, 1), 1, wait=5)
    assert time.monotonic() - started < 1


def test_time_runs_out() -> None:
    with pytest.raises(BookmillError) as caught:
        run(Patience(0.1, 10, 5, 10), 9)
    assert caught.value.reason == "PUBLISHING_DEADLINE"


def test_a_stop_comes_first() -> None:
    patience = Patience(10, 4, 0.001, 1)
    patience.stopped.set()
    with pytest.raises(BookmillError) as caught:
        run(patience, 0)
    assert caught.value.reason == "CANCELLED"
