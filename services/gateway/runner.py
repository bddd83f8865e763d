"""Runs the pipeline of one run: times, counts, records, waits, resumes and refuses, so that no stage has to."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from bookmill.v1 import object_pb2, run_pb2
from services.common.errors import BookmillError, Unavailable
from services.common.storage import Store
from services.gateway.board import Board, Meter
from services.gateway.context import Context
from services.gateway.patience import Waiting, patiently
from services.gateway.peers import Peers
from services.gateway.pipeline import PIPELINE, Stage
from services.gateway.results import Result, State
from services.gateway.runs import Begun, Finished, Runs
from services.gateway.settings import GatewaySettings

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class StageFailed(Exception):
    """A stage ended the run.

    Args:
        reason: what the stage's record says.
    """

    def __init__(self, reason: object_pb2.Refusal) -> None:
        super().__init__(f"{reason.message} [{reason.reason}]")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs one run's pipeline. Run twice, by one gateway or by two, it does the same thing."""

    begun: Begun
    board: Board
    peers: Peers
    store: Store
    runs: Runs
    settings: GatewaySettings

    async def run(self, state: State, pipeline: tuple[Stage, ...] = PIPELINE) -> None:
        """Runs every stage that has not finished, in order.

        Args:
            state: filled as stages finish, those finished before included; of use also when one fails.
            pipeline: the stages.

        Raises:
            StageFailed: a stage failed, now or before.
        """
        try:
            async with asyncio.TaskGroup() as group:
                ahead = {s.name: group.create_task(self._stage(s, state)) for s in pipeline if s.ahead}
                for stage in pipeline:
                    await (ahead[stage.name] if stage.ahead else self._stage(stage, state))
        except BaseExceptionGroup as group:
            raise _one_of(group) from group

    async def recall(self, state: State, pipeline: tuple[Stage, ...] = PIPELINE) -> None:
        """Takes the results of the stages that have finished from their records, and does no work.

        Those that began and did not finish, here or in another gateway, are marked as cancelled.
        """
        for stage in pipeline:
            context = self._context(stage)
            finished = await _kept(context, self.runs.finished, self.begun.run, stage.name)
            if finished is not None and finished.result is not None:
                await self._take(stage, finished, state)
            elif finished is None and await _kept(context, self.runs.started, self.begun.run, stage.name) is not None:
                self.board.stage(stage.name).state = object_pb2.STATE_CANCELLED

    async def _stage(self, stage: Stage, state: State) -> None:
        """Takes a stage's result from its record, or does its work and records it."""
        view = self.board.stage(stage.name)
        context = self._context(stage)
        before = await _kept(context, self.runs.finished, self.begun.run, stage.name)
        if before is None:
            result = await self._worked(stage, state, context, view)
            value = None if result is None else result.to_json()
            before = await _kept(context, self.runs.finish_stage, self.begun.run, view, value)
        await self._take(stage, before, state)

    async def _take(self, stage: Stage, finished: Finished, state: State) -> None:
        self.board.stage(stage.name).CopyFrom(finished.stage)
        self.board.touch()
        if finished.result is None:
            raise StageFailed(finished.stage.reason)
        value = await _kept(self._context(stage), self.runs.result, finished.result)
        setattr(state, stage.name, stage.result.from_json(value))

    async def _worked(self, stage: Stage, state: State, context: Context, view: run_pb2.Stage) -> Result | None:
        """Does a stage's work and writes on its view how it ended; None when it failed."""
        view.state = object_pb2.STATE_RUNNING
        self.board.touch()
        _log.info("stage begun", extra={"stage": stage.name})
        before = await _kept(context, self.runs.started, self.begun.run, stage.name)
        begun_at = time.time() if before is None else float(before["begun_at"])
        try:
            if before is None and not stage.is_job:
                await _kept(context, self.runs.start_stage, self.begun.run, stage.name, begun_at)
            result = await self._until_store_is_back(stage, state, context)
        except BookmillError as error:
            reason = object_pb2.Refusal(reason=error.reason, message=error.message)
        except Exception as error:  # noqa: BLE001 (a defect fails the run, not the gateway)
            _log.exception("defect", extra={"stage": stage.name})
            message = f"a defect of Bookmill: {type(error).__name__}; the gateway's log has more"
            reason = object_pb2.Refusal(reason="DEFECT", message=message)
        else:
            view.state = object_pb2.STATE_SUCCEEDED
            counts = [object_pb2.Count(name=name, value=value) for name, value in result.counts().items()]
            view.counts.extend(counts)
            view.digests.update({name: sha256 for name, sha256 in result.digests().items() if sha256})
            self._finish(view, begun_at)
            return result
        view.state = object_pb2.STATE_FAILED
        view.reason.CopyFrom(reason)
        self._finish(view, begun_at)
        return None

    async def _until_store_is_back(self, stage: Stage, state: State, context: Context) -> Result:
        """Does the work again when the store was away in the middle of it: what is recorded is not done twice."""
        view = self.board.stage(stage.name)
        before = run_pb2.Stage()
        before.CopyFrom(view)
        waiting = Waiting(context, "the store")
        while True:
            try:
                return await stage.work(context, state)
            except BaseExceptionGroup as group:
                error = _one_of(group)
            except BookmillError as alone:
                error = alone
            # A service's own trouble with the store has been waited for; this is ours.
            if not isinstance(error, Unavailable) or error.reason != "STORE_UNAVAILABLE":
                raise error
            await waiting.after(error)
            view.CopyFrom(before)

    def _context(self, stage: Stage) -> Context:
        return Context(
            run=self.begun.run,
            stage=stage.name,
            spec=self.begun.spec,
            peers=self.peers,
            store=self.store,
            runs=self.runs,
            settings=self.settings,
            board=self.board,
            meter=Meter(self.board, stage.name),
        )

    def _finish(self, view: run_pb2.Stage, begun_at: float) -> None:
        view.seconds = round(max(time.time() - begun_at, 0.001), 3)
        view.ClearField("progress")
        fields = {"stage": view.name, "state": object_pb2.State.Name(view.state), "seconds": view.seconds}
        _log.info("stage ended", extra={**fields, "reason": view.reason.reason or None})


async def _kept(context: Context, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Reads or writes the run's objects, patiently."""
    return await patiently(context, "the store", lambda: asyncio.to_thread(function, *args, **kwargs))


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Gives the error that stands for a group: what happened at the same time is in the log."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            found.append(error)
    return next((e for e in found if isinstance(e, BookmillError | StageFailed)), found[0])
