"""The runs that this gateway is following: begun here, or found unfinished when it started."""

import asyncio
import logging
from dataclasses import dataclass

from bookmill.v1 import object_pb2, run_pb2
from services.common import telemetry
from services.common.errors import BookmillError, Unavailable
from services.common.storage import Store
from services.gateway import following
from services.gateway.board import Board, Meter
from services.gateway.context import Context
from services.gateway.peers import Peers
from services.gateway.pipeline import PIPELINE
from services.gateway.report.reporting import write_report
from services.gateway.results import Report, State
from services.gateway.runner import Runner, StageFailed
from services.gateway.runs import Begun, Runs
from services.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)

_FINAL = {object_pb2.STATE_SUCCEEDED, object_pb2.STATE_FAILED, object_pb2.STATE_CANCELLED}


@dataclass(frozen=True, slots=True)
class _Followed:
    board: Board
    task: asyncio.Task[None]
    cancel: asyncio.Event


class ActiveRuns:
    """Follows runs, each as a task, until its final state is written down."""

    def __init__(self, store: Store, runs: Runs, peers: Peers, settings: GatewaySettings) -> None:
        self._store = store
        self._runs = runs
        self._peers = peers
        self._settings = settings
        self._followed: dict[str, _Followed] = {}

    def board(self, run: str) -> Board | None:
        """Gives the live view of a run that is followed here."""
        followed = self._followed.get(run)
        return followed.board if followed is not None else None

    def follow(self, begun: Begun) -> Board:
        """Follows a run, once."""
        if (followed := self._followed.get(begun.run)) is not None:
            return followed.board
        board = Board(first_view(begun))
        cancel = asyncio.Event()
        task = asyncio.create_task(self._until_final(begun, board, cancel), name=f"run {begun.run}")
        self._followed[begun.run] = _Followed(board, task, cancel)
        task.add_done_callback(lambda _: self._followed.pop(begun.run, None))
        return board

    def cancel(self, run: str) -> None:
        """Tells the task of a run that it is marked as cancelled, which it would see by itself within a moment."""
        if (followed := self._followed.get(run)) is not None:
            followed.cancel.set()

    async def stop(self) -> None:
        """Leaves every run as it is; whoever starts next goes on with it."""
        tasks = [followed.task for followed in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_final(self, begun: Begun, board: Board, cancel: asyncio.Event) -> None:
        with telemetry.identified(run=begun.run):
            while True:
                try:
                    await self._one(begun, board, cancel)
                except Exception as error:  # noqa: BLE001 (logged; it is tried again)
                    # Nothing can be written down, not even that the run failed: the store is full or away, and when it
                    # is not, the run goes on from what it has.
                    _log.exception("cannot go on with the run now")
                    self._show_wait(board, error)
                    await asyncio.sleep(self._settings.store_retry_seconds)
                else:
                    return

    def _show_wait(self, board: Board, error: Exception) -> None:
        told = error.message if isinstance(error, BookmillError) else type(error).__name__
        for stage in board.run.stages:
            if stage.state != object_pb2.STATE_SUCCEEDED:
                stage.state = object_pb2.STATE_RUNNING
                stage.progress.activity = f"waiting, since nothing can be recorded: {told}"[:200]
                break
        board.touch()

    async def _one(self, begun: Begun, board: Board, cancel: asyncio.Event) -> None:
        ended = await asyncio.to_thread(self._runs.ended, begun)
        if ended is None:
            ended = await self._worked(begun, board, cancel)
        board.run.CopyFrom(ended)
        board.touch()
        _log.info(
            "run ended", extra={"state": object_pb2.State.Name(ended.state), "reason": ended.reason.reason or None}
        )

    async def _worked(self, begun: Begun, board: Board, cancel: asyncio.Event) -> run_pb2.Run:
        """Runs the pipeline until it ends or the run is cancelled, and writes the final state down."""
        board.run.state = object_pb2.STATE_RUNNING
        board.touch()
        state = State()
        runner = Runner(begun, board, self._peers, self._store, self._runs, self._settings)
        work = asyncio.create_task(runner.run(state))
        cancelled = asyncio.create_task(self._cancelled(begun.run, cancel))
        showing = asyncio.create_task(self._show(board))
        try:
            await asyncio.wait((work, cancelled), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                board.run.state = object_pb2.STATE_CANCELLING
                board.touch()
                work.cancel()
                await asyncio.wait((work,))
                await runner.recall(state)
                await self._cancel_jobs(begun, board)
                ending = object_pb2.STATE_CANCELLED
            else:
                ending = _ending(work, board)
        finally:
            for task in (work, cancelled, showing):
                task.cancel()
            await asyncio.gather(work, cancelled, showing, return_exceptions=True)
        return await asyncio.to_thread(self._end, begun, board, ending, state)

    async def _cancelled(self, run: str, cancel: asyncio.Event) -> None:
        """Returns when the run is marked as cancelled, here or by another gateway."""
        while not cancel.is_set():
            try:
                if await asyncio.to_thread(self._runs.is_cancelled, run):
                    return
            except Unavailable:
                _log.warning("the store does not say whether the run is cancelled")
            try:
                async with asyncio.timeout(self._settings.poll_seconds):
                    await cancel.wait()
            except TimeoutError:
                continue

    async def _show(self, board: Board) -> None:
        """Writes the view down, once a moment at the most, for those who watch through another gateway."""
        shown = -1
        while True:
            if board.version != shown:
                shown = board.version
                try:
                    await asyncio.to_thread(self._runs.show, board.snapshot())
                except BookmillError as error:
                    _log.warning("the run's progress was not written", extra={"reason": error.reason})
            await asyncio.sleep(max(self._settings.poll_seconds, 0.5))
            if board.version == shown:
                await board.wait(shown)

    async def _cancel_jobs(self, begun: Begun, board: Board) -> None:
        """Cancels the jobs that the run pinned, but those that another unfinished run waits for."""
        for stage in (s for s in PIPELINE if s.is_job):
            pinned = await asyncio.to_thread(self._runs.started, begun.run, stage.name)
            if pinned is None or await asyncio.to_thread(self._is_shared, begun.run, stage.name, pinned["job"]):
                continue
            meter = Meter(board, stage.name)
            context = Context(
                begun.run,
                stage.name,
                begun.spec,
                self._peers,
                self._store,
                self._runs,
                self._settings,
                board,
                meter,
            )
            try:
                await following.cancel(context, pinned["job"])
            except BookmillError as error:
                _log.warning("the job was not cancelled", extra={"job": pinned["job"], "reason": error.reason})

    def _is_shared(self, run: str, stage: str, job: str) -> bool:
        others = (other for other in self._runs.unfinished() if other != run)
        pins = (self._runs.started(other, stage) for other in others if not self._runs.is_cancelled(other))
        return any(pinned is not None and pinned["job"] == job for pinned in pins)

    def _end(self, begun: Begun, board: Board, ending: object_pb2.State.ValueType, state: State) -> run_pb2.Run:
        """Writes the final state down, with a summary of what there is."""
        run = board.snapshot()
        run.state = ending
        for stage in run.stages:
            if stage.state == object_pb2.STATE_RUNNING:
                stage.state = object_pb2.STATE_CANCELLED
                stage.ClearField("progress")
        written = state.report or self._bare_report(run, state)
        run.summary.CopyFrom(written.summary.to_proto())
        run.ClearField("files")
        run.files.extend(run_pb2.RunFile(name=name, file=file.to_proto()) for name, file in written.files)
        self._runs.end(run)
        return self._runs.ended(begun) or run

    def _bare_report(self, run: run_pb2.Run, state: State) -> Report:
        """Writes the summary of a run that did not come to its own; where results are damaged, without them."""
        try:
            return write_report(self._store, run, state)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 (logged; the run must get its end)
            _log.exception("the summary leaves results out")
            books = State(search=state.search, fetch=state.fetch, clean=state.clean, chunk=state.chunk)
            return write_report(self._store, run, books, with_page=False)


def first_view(begun: Begun) -> run_pb2.Run:
    """Gives what a run looks like before its first stage begins."""
    run = run_pb2.Run(
        name=f"runs/{begun.run}", spec=begun.spec, state=object_pb2.STATE_PENDING, created_at=begun.created_at
    )
    run.stages.extend(run_pb2.Stage(name=stage.name, state=object_pb2.STATE_PENDING) for stage in PIPELINE)
    return run


def is_final(run: run_pb2.Run) -> bool:
    """Says whether a run's state is final."""
    return run.state in _FINAL


def _ending(work: asyncio.Task[None], board: Board) -> object_pb2.State.ValueType:
    """Gives the final state of a pipeline that ended by itself; what is neither good nor bad goes on as an error."""
    error = work.exception()
    if error is None:
        return object_pb2.STATE_SUCCEEDED
    if isinstance(error, StageFailed):
        board.run.reason.CopyFrom(error.reason)
        return object_pb2.STATE_FAILED
    raise error
