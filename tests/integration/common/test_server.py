import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bookmill.v1 import clean_pb2, clean_pb2_grpc, object_pb2
from services.common import clients, telemetry
from services.common.errors import BookmillError, DeadlineExceeded, Internal, NotFound, Refused, Unavailable
from services.common.objects import Reference
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.steps import Step, answer
from services.common.storage import Store

NAME = "bookmill.v1.CleanService"
_TEXT = object_pb2.ObjectReference(key="books/raw/" + "a" * 64, sha256="a" * 64, size_bytes=1)


class _Servicer(clean_pb2_grpc.CleanServiceServicer):
    """Answers with what a test wants."""

    def __init__(self, behave: Callable[[clean_pb2.CleanBookRequest], Any]) -> None:
        self._behave = behave

    async def CleanBook(self, request: clean_pb2.CleanBookRequest, context: Any) -> clean_pb2.CleanBookResponse:
        result = self._behave(request)
        return await result if asyncio.iscoroutine(result) else result


@asynccontextmanager
async def _served(behave: Callable[[clean_pb2.CleanBookRequest], Any], **settings: float) -> AsyncIterator[str]:
    def register(server: grpc.aio.Server) -> None:
        clean_pb2_grpc.add_CleanServiceServicer_to_server(_Servicer(behave), server)

    quick = {"not_serving_seconds": 0.05, "drain_seconds": 5.0, **settings}
    async with serving(ServerSettings.model_validate(quick), register, (NAME,)) as port:
        yield f"127.0.0.1:{port}"


async def _clean(address: str, timeout: float = 10.0) -> tuple[clean_pb2.CleanBookResponse, bool]:
    async with clients.channel(address) as channel:
        stub = clean_pb2_grpc.CleanServiceStub(channel)
        request = clean_pb2.CleanBookRequest(text=_TEXT)
        return await clients.call(stub.CleanBook, request, clean_pb2.CleanBookResponse, timeout)


@pytest.mark.parametrize("kind", [Refused, NotFound, Unavailable, Internal])
async def test_an_error_arrives_as_what_it_was(kind: type[BookmillError]) -> None:
    def behave(_: clean_pb2.CleanBookRequest) -> None:
        raise kind("ONLY_LICENCE", "nothing is left of 'é'", choices="a, b")

    async with _served(behave) as address:
        with pytest.raises(kind) as caught:
            await _clean(address)
    assert type(caught.value) is kind
    assert (caught.value.reason, caught.value.message) == ("ONLY_LICENCE", "nothing is left of 'é'")
    assert caught.value.metadata == {"choices": "a, b"}


async def test_a_defect_is_internal_and_tells_no_secret() -> None:
    def behave(_: clean_pb2.CleanBookRequest) -> None:
        raise RuntimeError("canary")

    async with _served(behave) as address:
        with pytest.raises(Internal, match="DEFECT") as caught:
            await _clean(address)
    assert "canary" not in str(caught.value)


async def test_a_call_that_brings_no_deadline_gets_one() -> None:
    async def behave(_: clean_pb2.CleanBookRequest) -> None:
        await asyncio.Event().wait()

    async with _served(behave, default_deadline_seconds=0.2) as address, grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await clean_pb2_grpc.CleanServiceStub(channel).CleanBook(clean_pb2.CleanBookRequest())
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert clients.from_status(caught.value).reason == "DEFAULT_DEADLINE"


async def test_our_own_deadline_is_kept() -> None:
    async def behave(_: clean_pb2.CleanBookRequest) -> None:
        await asyncio.Event().wait()

    async with _served(behave) as address:
        with pytest.raises(DeadlineExceeded):
            await _clean(address, timeout=0.3)


async def test_ids_travel() -> None:
    seen = []

    def behave(_: clean_pb2.CleanBookRequest) -> clean_pb2.CleanBookResponse:
        seen.append((telemetry.request_id.get(), telemetry.run_id.get()))
        return clean_pb2.CleanBookResponse()

    async with _served(behave) as address:
        with telemetry.identified(request="req-1", run="run-1"):
            await _clean(address)
    assert seen == [("req-1", "run-1")]


async def test_draining_loses_no_call() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def behave(_: clean_pb2.CleanBookRequest) -> clean_pb2.CleanBookResponse:
        entered.set()
        await leave.wait()
        return clean_pb2.CleanBookResponse(characters_in=7)

    served = _served(behave, not_serving_seconds=0.5)
    address = await served.__aenter__()
    ongoing = asyncio.create_task(_clean(address))
    await entered.wait()
    stopping = asyncio.create_task(served.__aexit__(None, None, None))
    async with grpc.aio.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        async for status in health.Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=10):
            if status.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break
    leave.set()
    assert (await ongoing)[0].characters_in == 7
    await stopping


async def test_health_and_reflection_know_the_service() -> None:
    async with _served(lambda _: None) as address, grpc.aio.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME):
            answered = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answered.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        names = [s.name async for r in reflection.ServerReflectionInfo(asked) for s in r.list_services_response.service]
    assert NAME in names


async def test_a_recorded_answer_is_told(store: Store) -> None:
    computed = []
    text = store.put_bytes("books/clean", b"prose")

    def behave(request: clean_pb2.CleanBookRequest) -> Any:
        async def compute() -> clean_pb2.CleanBookResponse:
            computed.append(1)
            return clean_pb2.CleanBookResponse(text=text.to_proto(), characters_in=5)

        return answer(store, Step("clean_book", 1), request, clean_pb2.CleanBookResponse, compute)

    async with _served(behave) as address:
        first, again = await _clean(address), await _clean(address)
        assert (first[1], again[1], len(computed)) == (False, True, 1)
        assert first[0] == again[0]
        # A record whose object is gone is no answer.
        store.delete(text.key)
        assert (await _clean(address))[1] is False
    assert len(computed) == 2


async def test_two_servers_do_not_share_a_port() -> None:
    async with _served(lambda _: None) as address:
        with pytest.raises(RuntimeError):
            async with _served(lambda _: None, port=int(address.rpartition(":")[2])):
                pass


def test_references_are_checked() -> None:
    with pytest.raises(BookmillError, match="BAD_REFERENCE"):
        Reference.from_proto(object_pb2.ObjectReference(key="/etc/passwd", sha256="0" * 64))


def test_a_service_drains_at_sigterm_and_exits_with_0(store_environment: dict[str, str]) -> None:
    environment = {**os.environ, **store_environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.clean"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if '"serving"' in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert '"stopped"' in process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
