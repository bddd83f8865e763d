"""What a gateway does for those who call it, whatever they speak: gRPC and REST are two ways to the same."""

import asyncio
from collections.abc import AsyncGenerator

from bookmill.v1 import object_pb2, run_pb2
from services.common.errors import InvalidInput, NotFound, Refused, Unavailable
from services.common.storage import Store
from services.gateway.active import ActiveRuns, first_view, is_final
from services.gateway.paging import Page, page_of
from services.gateway.peers import Peers
from services.gateway.pruning import Pruned, prune
from services.gateway.runs import Begun, Runs
from services.gateway.settings import GatewaySettings
from services.gateway.starting import begin

_MAX_PAGE_BYTES = 48 << 10  # of a list's message, which holds 64 KiB
_DAY = 86_400


class Gateway:
    """Creates, shows, lists, watches, cancels and deletes runs; removes what none refers to."""

    def __init__(self, store: Store, peers: Peers, settings: GatewaySettings) -> None:
        self.store = store
        self.peers = peers
        self.settings = settings
        self._runs = Runs(store)
        self._active = ActiveRuns(store, self._runs, peers, settings)
        self._created: dict[str, float] = {}
        self._stopping = asyncio.Event()
        self._begun_here = 0

    async def resume(self) -> int:
        """Follows every run that has no final state. Called when the gateway starts.

        Returns:
            How many there are.
        """
        followed = 0
        for run in await asyncio.to_thread(self._runs.unfinished):
            begun = await asyncio.to_thread(self._runs.begun, run)
            if begun is not None:
                self._active.follow(begun)
                followed += 1
        return followed

    def stop_watches(self) -> None:
        """Ends every watch, so that whoever watches asks another gateway, or this one when it is back."""
        self._stopping.set()

    async def stop(self) -> None:
        """Leaves every run as it is."""
        self.stop_watches()
        await self._active.stop()

    async def create(self, spec: run_pb2.RunSpec, request_id: str = "", validate_only: bool = False) -> run_pb2.Run:
        """Begins a run, or with a `request_id` finds the one that it began.

        Raises:
            BookmillError: as `starting.begin`.
        """
        if not validate_only:
            self._begun_here += 1
        begun, _ = await begin(spec, request_id, validate_only, self.store, self._runs, self.peers)
        if validate_only:
            return first_view(begun)
        ended = await asyncio.to_thread(self._runs.ended, begun)
        return ended if ended is not None else self._active.follow(begun).snapshot()

    async def get(self, name: str) -> run_pb2.Run:
        """Shows a run.

        Raises:
            NotFound: `NO_SUCH_RUN`.
        """
        return await self._view(await self._begun(name))

    async def list(self, page_size: int, page_token: str) -> Page:
        """Lists runs, newest first.

        Raises:
            InvalidInput: `BAD_PAGE_SIZE`, `BAD_PAGE_TOKEN`.
        """
        page = page_of(await self._created_at(), page_size, page_token)
        views: list[run_pb2.Run] = []
        size = 0
        for run in page.ids:
            begun = await asyncio.to_thread(self._runs.begun, run)
            if begun is None:
                continue
            view = await self._view(begun)
            size += view.ByteSize()
            if views and size > _MAX_PAGE_BYTES:
                return page.cut_before(run, tuple(views))
            views.append(view)
        return page.holding(tuple(views))

    async def watch(self, name: str) -> AsyncGenerator[run_pb2.Run, None]:
        """Shows a run at once and whenever it changes, until its state is final.

        Raises:
            NotFound: `NO_SUCH_RUN`, also when it is deleted meanwhile.
            Unavailable: `GATEWAY_STOPPING`: watch again.
        """
        begun = await self._begun(name)
        last: run_pb2.Run | None = None
        while not self._stopping.is_set():
            board = self._active.board(begun.run)
            seen = board.version if board is not None else 0
            view = board.snapshot() if board is not None else await self._view(begun)
            if view != last:
                yield view
                last = view
            if is_final(view):
                return
            if board is not None and board.version == seen:
                await self._until_changed(board.wait(seen))
            await self._until_changed(asyncio.sleep(0.1 if board is not None else self.settings.poll_seconds))
            if board is None:
                begun = await self._begun(name)
        raise Unavailable("GATEWAY_STOPPING", "this gateway is stopping; watch again")

    async def cancel(self, name: str) -> run_pb2.Run:
        """Marks a run as cancelled and sees to it that a gateway ends it; one that is final stays as it is.

        Raises:
            NotFound: `NO_SUCH_RUN`.
        """
        begun = await self._begun(name)
        ended = await asyncio.to_thread(self._runs.ended, begun)
        if ended is not None:
            return ended
        await asyncio.to_thread(self._runs.cancel, begun.run)
        board = self._active.follow(begun)
        self._active.cancel(begun.run)
        view = board.snapshot()
        if not is_final(view):
            view.state = object_pb2.STATE_CANCELLING
        return view

    async def delete(self, name: str) -> None:
        """Deletes a run that is final.

        Raises:
            NotFound: `NO_SUCH_RUN`.
            Refused: `RUN_NOT_FINAL`.
        """
        begun = await self._begun(name)
        if not await asyncio.to_thread(self._runs.has_ended, begun.run):
            raise Refused("RUN_NOT_FINAL", f"runs/{begun.run} is at work; cancel it first", run=f"runs/{begun.run}")
        await asyncio.to_thread(self._runs.delete, begun.run)
        self._created.pop(begun.run, None)

    async def prune(self, minimum_age_seconds: int, dry_run: bool) -> Pruned:
        """Removes what no run refers to.

        Raises:
            InvalidInput: `BAD_AGE`.
        """
        if minimum_age_seconds < 0:
            raise InvalidInput(
                "BAD_AGE", f"minimum_age_seconds {minimum_age_seconds} is negative", field="minimum_age_seconds"
            )
        before = self._begun_here
        return await asyncio.to_thread(
            prune,
            self.store,
            self._runs,
            minimum_age_seconds or _DAY,
            dry_run,
            run_began=lambda: self._begun_here != before,
        )

    async def _begun(self, name: str) -> Begun:
        run = name.removeprefix("runs/")
        begun = await asyncio.to_thread(self._runs.begun, run) if run.isascii() and run.isalnum() else None
        if begun is None:
            newest = page_of(await self._created_at(), 5, "").ids
            choices = ", ".join(f"runs/{other}" for other in newest)
            listed = f"the newest are {choices}" if choices else "there are none"
            raise NotFound("NO_SUCH_RUN", f"there is no run {name[:80]!r}; {listed}", choices=choices)
        return begun

    async def _view(self, begun: Begun) -> run_pb2.Run:
        if (board := self._active.board(begun.run)) is not None:
            return board.snapshot()
        return await asyncio.to_thread(self._recorded_view, begun)

    def _recorded_view(self, begun: Begun) -> run_pb2.Run:
        """Shows a run that another gateway follows, or that is final."""
        if (ended := self._runs.ended(begun)) is not None:
            return ended
        view = self._runs.shown(begun) or first_view(begun)
        if self._runs.is_cancelled(begun.run):
            view.state = object_pb2.STATE_CANCELLING
        return view

    async def _created_at(self) -> dict[str, float]:
        """Gives when each run was created; it never changes, so it is read once."""
        ids = set(await asyncio.to_thread(self._runs.ids))
        for run in ids - self._created.keys():
            begun = await asyncio.to_thread(self._runs.begun, run)
            if begun is not None:
                self._created[run] = begun.created_at
        for run in self._created.keys() - ids:
            self._created.pop(run, None)
        return dict(self._created)

    async def _until_changed(self, change: object) -> None:
        """Waits for a change, or for the gateway to stop."""
        waiting = asyncio.ensure_future(change)  # type: ignore[call-overload]
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)
