import asyncio
from datetime import UTC, datetime

import pytest

from services.ingest.politeness import Backoff, Pace, retry_after
from tests.support.mirror import StillClock

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


async def test_a_host_is_asked_once_in_an_interval() -> None:
    clock = StillClock()
    pace = Pace(2.0, clock)
    begun = []
    for host in ("a", "a", "b", "a"):
        await pace.turn(host)
        begun.append((host, clock.now() - 1000))
    assert begun == [("a", 0), ("a", 2), ("b", 2), ("a", 4)]


async def test_callers_at_once_are_served_in_order_and_apart() -> None:
    clock = StillClock()
    pace = Pace(2.0, clock)
    order: list[tuple[int, float]] = []

    async def ask(number: int) -> None:
        await pace.turn("a")
        order.append((number, clock.now() - 1000))

    await asyncio.gather(*(ask(number) for number in range(4)))
    assert order == [(0, 0), (1, 2), (2, 4), (3, 6)]


async def test_a_host_that_asks_for_a_pause_is_left_alone_by_all() -> None:
    clock = StillClock()
    pace = Pace(2.0, clock)
    pace.hold("a", 30)
    await pace.turn("a")
    assert clock.now() == 1030
    await pace.turn("b")
    assert clock.now() == 1030


@pytest.mark.parametrize(("failures", "expected"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 15.0), (60, 15.0)])
def test_backoff_doubles_to_a_ceiling_with_jitter(failures: int, expected: float) -> None:
    assert Backoff(chance=lambda: 0.5).wait(failures) == expected
    assert 0 <= Backoff().wait(failures) <= 2 * expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("²", None),
        ("99999999999999", 999999999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after(value, NOW) == expected
