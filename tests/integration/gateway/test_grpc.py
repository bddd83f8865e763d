"""RunService over gRPC."""

from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest

from bookmill.v1 import object_pb2, run_pb2, run_pb2_grpc
from services.common.clients import call, channel, stream
from services.common.errors import NotFound, Refused
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.storage import Store
from services.gateway.servicer import RunServicer
from tests.support.gateways import TEXTS, gateway_for, spec
from tests.support.services import Services


@pytest.fixture
async def stub(store: Store) -> AsyncIterator["run_pb2_grpc.RunServiceAsyncStub"]:
    async with Services(store, dict(TEXTS)) as services, gateway_for(store, services) as gateway:
        register = partial(run_pb2_grpc.add_RunServiceServicer_to_server, RunServicer(gateway))
        settings = ServerSettings(port=0, drain_seconds=0, not_serving_seconds=0)
        async with (
            serving(settings, register, ("bookmill.v1.RunService",)) as port,
            channel(f"127.0.0.1:{port}") as open_,
        ):
            yield run_pb2_grpc.RunServiceStub(open_)
            gateway.stop_watches()


async def test_every_method(stub: "run_pb2_grpc.RunServiceAsyncStub") -> None:
    request = run_pb2.CreateRunRequest(spec=spec(max_books=2), request_id="r-1")
    begun, _ = await call(stub.CreateRun, request, run_pb2.Run, 30)
    seen = [r async for r in stream(stub.WatchRun, run_pb2.WatchRunRequest(name=begun.name), run_pb2.Run, 60)]
    assert seen[-1].state == object_pb2.STATE_SUCCEEDED
    found, _ = await call(stub.GetRun, run_pb2.GetRunRequest(name=begun.name), run_pb2.Run, 30)
    assert found == seen[-1]
    # A run that is final stays as it is.
    cancelled, _ = await call(stub.CancelRun, run_pb2.CancelRunRequest(name=begun.name), run_pb2.Run, 30)
    assert cancelled == found
    page, _ = await call(stub.ListRuns, run_pb2.ListRunsRequest(), run_pb2.ListRunsResponse, 30)
    assert list(page.runs) == [found]
    await call(stub.DeleteRun, run_pb2.DeleteRunRequest(name=begun.name), run_pb2.DeleteRunResponse, 30)
    pruned, _ = await call(
        stub.PruneObjects, run_pb2.PruneObjectsRequest(dry_run=True), run_pb2.PruneObjectsResponse, 30
    )
    assert pruned.objects == 0, "everything is younger than a day"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetRun", run_pb2.GetRunRequest(name="runs/x")),
        ("CancelRun", run_pb2.CancelRunRequest(name="runs/x")),
        ("DeleteRun", run_pb2.DeleteRunRequest(name="runs/x")),
    ],
)
async def test_a_run_that_is_not_there(stub: "run_pb2_grpc.RunServiceAsyncStub", method: str, request_: object) -> None:
    with pytest.raises(NotFound) as caught:
        await call(getattr(stub, method), request_, run_pb2.Run, 30)
    assert caught.value.reason == "NO_SUCH_RUN"


async def test_a_run_at_work_is_not_deleted(stub: "run_pb2_grpc.RunServiceAsyncStub") -> None:
    begun, _ = await call(stub.CreateRun, run_pb2.CreateRunRequest(spec=spec()), run_pb2.Run, 30)
    with pytest.raises(Refused) as caught:
        await call(stub.DeleteRun, run_pb2.DeleteRunRequest(name=begun.name), run_pb2.DeleteRunResponse, 30)
    assert caught.value.reason == "RUN_NOT_FINAL"


async def test_a_watch_of_no_run_says_so_at_once(stub: "run_pb2_grpc.RunServiceAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.WatchRun(run_pb2.WatchRunRequest(name="runs/x"), timeout=30):
            pass
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
