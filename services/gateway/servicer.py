"""RunService over gRPC."""

from collections.abc import AsyncIterator
from typing import Any

from bookmill.v1 import run_pb2, run_pb2_grpc
from services.gateway.operating import Gateway


class RunServicer(run_pb2_grpc.RunServiceServicer):
    """Takes messages apart and puts them together; the gateway does the rest."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def CreateRun(self, request: run_pb2.CreateRunRequest, _: Any) -> run_pb2.Run:
        """Starts a run."""
        return await self._gateway.create(request.spec, request.request_id, request.validate_only)

    async def GetRun(self, request: run_pb2.GetRunRequest, _: Any) -> run_pb2.Run:
        """Looks at one run."""
        return await self._gateway.get(request.name)

    async def ListRuns(self, request: run_pb2.ListRunsRequest, _: Any) -> run_pb2.ListRunsResponse:
        """Lists runs, newest first."""
        page = await self._gateway.list(request.page_size, request.page_token)
        return run_pb2.ListRunsResponse(runs=page.runs, next_page_token=page.next_token)

    async def WatchRun(self, request: run_pb2.WatchRunRequest, _: Any) -> AsyncIterator[run_pb2.Run]:
        """Streams a run whenever it changes."""
        async for run in self._gateway.watch(request.name):
            yield run

    async def CancelRun(self, request: run_pb2.CancelRunRequest, _: Any) -> run_pb2.Run:
        """Stops a run and its jobs."""
        return await self._gateway.cancel(request.name)

    async def DeleteRun(self, request: run_pb2.DeleteRunRequest, _: Any) -> run_pb2.DeleteRunResponse:
        """Deletes a run that is final."""
        await self._gateway.delete(request.name)
        return run_pb2.DeleteRunResponse()

    async def PruneObjects(self, request: run_pb2.PruneObjectsRequest, _: Any) -> run_pb2.PruneObjectsResponse:
        """Removes what no run refers to."""
        pruned = await self._gateway.prune(request.minimum_age_seconds, request.dry_run)
        return run_pb2.PruneObjectsResponse(objects=pruned.objects, size_bytes=pruned.size)
