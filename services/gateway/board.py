"""What a run looks like at this moment, for those who watch it."""

import asyncio
import time
from collections.abc import Mapping

from bookmill.v1 import object_pb2, run_pb2


class Board:
    """A run's live view. The runner writes on it, watchers wait for a change."""

    def __init__(self, run: run_pb2.Run) -> None:
        self._run = run
        self._version = 0
        self._changed = asyncio.Condition()
        self._notifying: set[asyncio.Task[None]] = set()

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    @property
    def run(self) -> run_pb2.Run:
        """The view itself; call `touch` after writing on it."""
        return self._run

    def snapshot(self) -> run_pb2.Run:
        """Gives a copy, which stays as it is."""
        copy = run_pb2.Run()
        copy.CopyFrom(self._run)
        return copy

    def stage(self, name: str) -> run_pb2.Stage:
        """Gives a stage's view."""
        return next(stage for stage in self._run.stages if stage.name == name)

    def touch(self) -> None:
        """Says that something changed."""
        self._version += 1
        task = asyncio.get_running_loop().create_task(self._notify())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def wait(self, seen: int) -> int:
        """Waits until the version is another than the one seen, and gives it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version != seen)
        return self._version

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Meter:
    """Counts one stage's progress on the board: units done, rate, seconds to go."""

    def __init__(self, board: Board, stage: str) -> None:
        self._board = board
        self._stage = board.stage(stage)
        self._begun = time.monotonic()
        self._worked = 0
        self._activity = ""

    def begin(self, activity: str, total: int = 0, unit: str = "") -> None:
        """Says what is being done, and how much of it there is."""
        self._stage.progress.CopyFrom(object_pb2.Progress(activity=activity, total=total, unit=unit))
        self._activity = activity
        self._begun = time.monotonic()
        self._worked = 0
        self._board.touch()

    def advance(self, *, recorded: bool = False, refused: bool = False) -> None:
        """Counts one unit done; one answered from a record says nothing of the rate."""
        progress = self._stage.progress
        progress.completed += 1
        self._stage.recorded += recorded
        self._stage.refused += refused
        self._worked += not recorded
        if self._worked:
            each = (time.monotonic() - self._begun) / self._worked
            progress.remaining_seconds = round(each * (progress.total - progress.completed), 1)
            progress.figures["per_second"] = round(1 / each, 3) if each else 0.0
        self._board.touch()

    def say(self, activity: str) -> None:
        """Changes what is being done, for a person."""
        self._activity = activity
        self._put(activity)

    def waiting(self, what: str) -> None:
        """Shows what is waited for, until `going_on`."""
        self._put(what)

    def going_on(self) -> None:
        """Shows again what was being done before the wait."""
        self._put(self._activity)

    def show(self, progress: object_pb2.Progress) -> None:
        """Shows the progress that a service tells."""
        self._stage.progress.CopyFrom(progress)
        self._activity = progress.activity
        self._board.touch()

    def expect(self, estimate: Mapping[str, float]) -> None:
        """Says what the stage will take, by name."""
        self._stage.estimate.update(estimate)
        self._board.touch()

    def count_recorded(self) -> None:
        """Counts a unit that a record answered, where units are not counted one by one."""
        self._stage.recorded += 1
        self._board.touch()

    def _put(self, activity: str) -> None:
        if self._stage.progress.activity != activity:
            self._stage.progress.activity = activity
            self._board.touch()
