import asyncio

import pytest

from services.ingest.flights import Flights


async def test_equal_names_take_turns_and_others_do_not() -> None:
    flights = Flights()
    inside: list[str] = []
    most: dict[str, int] = {}
    met = asyncio.Event()

    async def fly(name: str) -> None:
        async with flights.alone(name):
            inside.append(name)
            most[name] = max(most.get(name, 0), inside.count(name))
            if {"a", "b"} <= set(inside):
                met.set()
            await asyncio.sleep(0)
            await asyncio.wait_for(met.wait(), 5)
            inside.remove(name)

    await asyncio.gather(*(fly(name) for name in "aabba"))
    assert most == {"a": 1, "b": 1}
    assert flights._locks == {}


async def test_one_that_fails_or_is_cancelled_makes_room() -> None:
    flights = Flights()
    with pytest.raises(ValueError, match="x"):
        async with flights.alone("a"):
            raise ValueError("x")
    async with flights.alone("a"):
        waiting = asyncio.create_task(flights.alone("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert flights._locks == {}
