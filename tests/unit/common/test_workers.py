import os
import signal

import pytest

from services.common.errors import Refused, Unavailable
from services.common.workers import Workers


def _square(number: int) -> int:
    return number * number


def _refuse() -> None:
    raise Refused("ONLY_LICENCE", "nothing is left", book="84")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_work_errors_and_death() -> None:
    workers = Workers(1)
    try:
        await workers.warm()
        assert await workers.run(_square, 12) == 144
        with pytest.raises(Refused) as refused:
            await workers.run(_refuse)
        assert (refused.value.reason, refused.value.metadata) == ("ONLY_LICENCE", {"book": "84"})
        with pytest.raises(Unavailable, match="WORKER_DIED"):
            await workers.run(_die)
        assert await workers.run(_square, 3) == 9, "a new worker takes the place of the one that died"
    finally:
        workers.close()
