"""What survives: a service that dies, a gateway that is killed, two gateways, a run that is cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from bookmill.v1 import object_pb2, run_pb2, run_pb2_grpc
from services.cli.ports import free_ports
from services.common.canonical import JSON
from services.common.errors import Exhausted
from services.common.objects import Reference
from services.common.settings import StoreSettings
from services.common.storage import Store
from services.gateway.runs import Begun, Runs
from tests.support.gateways import TEXTS, GatewayProcess, ended, gateway_for, spec, state_of, until
from tests.support.services import Services


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    async with Services(store, dict(TEXTS)) as running:
        yield running


def settings_of(environment: dict[str, str]) -> StoreSettings:
    prefix = "BOOKMILL_STORE_"
    return StoreSettings(**{k.removeprefix(prefix).lower(): v for k, v in environment.items() if k.startswith(prefix)})


def digests(run: run_pb2.Run) -> list[dict[str, str]]:
    return [dict(stage.digests) for stage in run.stages]


async def undisturbed(store: Store, services: Services) -> run_pb2.Run:
    """The same run with nothing going wrong; its records make nothing easier for what was before."""
    async with gateway_for(store, services) as gateway:
        return await ended(gateway, (await gateway.create(spec())).name)


@pytest.mark.parametrize(
    ("service", "gate"),
    [
        ("ingest", "FetchBook"),
        ("clean", "CleanBook"),
        ("chunk", "BuildDataset"),
        ("train", "train_model:step"),
        ("export", "export_model:step"),
    ],
)
async def test_a_service_that_dies_in_a_stage_and_returns_fails_no_run(
    store: Store, services: Services, service: str, gate: str
) -> None:
    opened = services.faults.gates[gate] = asyncio.Event()
    async with gateway_for(store, services, tries=1) as gateway:
        begun = await gateway.create(spec())
        await until(lambda: services.faults.calls[gate])
        await services.stop(service)

        async def waits() -> bool:
            run = await gateway.get(begun.name)
            return any(s.progress.activity.startswith(f"waiting for {service}") for s in run.stages)

        await until(waits)
        opened.set()
        await services.start(service)
        run = await ended(gateway, begun.name)
        assert run.state == object_pb2.STATE_SUCCEEDED, run.reason
        assert json.loads(store.read(Reference.from_proto(run.summary)))["refusals"] == []
    assert services.faults.work["train_model"] == 1
    assert digests(run) == digests(await undisturbed(store, services))


async def test_a_service_that_stays_away_fails_the_run_and_is_named(store: Store, services: Services) -> None:
    await services.stop("clean")
    async with gateway_for(store, services, patience_seconds=0.3) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
        assert (run.state, run.reason.reason) == (object_pb2.STATE_FAILED, "SERVICE_DOWN")
        assert "clean did not answer" in run.reason.message


async def test_a_gateway_killed_in_the_middle_goes_on_when_it_is_back(
    store: Store, services: Services, store_environment: dict[str, str], tmp_path: Path
) -> None:
    grpc_port, http_port = free_ports(2)
    environment = {**store_environment, **services.environment()}
    log = tmp_path / "gateway.log"
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    process = GatewayProcess(environment, log, grpc_port, http_port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        request = run_pb2.CreateRunRequest(spec=spec(), request_id="once")
        try:
            begun = await stub.CreateRun(request, timeout=60, wait_for_ready=True)
            await until(lambda: services.faults.calls["train_model:step"])
            await until(lambda: Runs(store).started(begun.name.removeprefix("runs/"), "train"))
            fetched = services.faults.calls["FetchBook"]
            process.kill()
            gate.set()
            process = GatewayProcess(environment, log, grpc_port, http_port)
            # Asked again after the failure, as a client does, it is the same run.
            assert (await stub.CreateRun(request, timeout=60, wait_for_ready=True)).name == begun.name
            async for run in stub.WatchRun(run_pb2.WatchRunRequest(name=begun.name), timeout=60):  # noqa: B007
                pass
            assert run.state == object_pb2.STATE_SUCCEEDED, log.read_text()
            # Finished stages were answered from their records: nothing was fetched again, and one training ran.
            assert services.faults.calls["FetchBook"] == fetched
            assert services.faults.work["train_model"] == 1
            assert process.terminate() == 0
        finally:
            if process.process.poll() is None:
                process.kill()
    assert digests(run) == digests(await undisturbed(store, services))


async def test_two_gateways_that_follow_one_run_do_the_same(store: Store, services: Services) -> None:
    gate = services.faults.gates["CleanBook"] = asyncio.Event()
    async with gateway_for(store, services) as one:
        begun = await one.create(spec())
        await until(lambda: services.faults.calls["CleanBook"])
        async with gateway_for(store, services) as two:  # which finds it unfinished, and follows it too
            await until(lambda: services.faults.calls["CleanBook"] > len(TEXTS))
            gate.set()
            first, second = await asyncio.gather(ended(one, begun.name), ended(two, begun.name))
    assert first.state == object_pb2.STATE_SUCCEEDED
    assert first == second
    assert services.faults.work["train_model"] == 1


async def test_a_run_can_be_watched_and_cancelled_through_another_gateway(store: Store, services: Services) -> None:
    services.faults.gates["train_model:step"] = asyncio.Event()
    async with gateway_for(store, services) as other, gateway_for(store, services) as working:
        begun = await working.create(spec())
        await until(lambda: services.faults.calls["train_model:step"])

        async def seen() -> bool:
            return state_of(await other.get(begun.name), "train") == "RUNNING"

        await until(seen)
        cancelled = await other.cancel(begun.name)
        assert cancelled.state == object_pb2.STATE_CANCELLING
        run = await ended(working, begun.name, seconds=5)
        assert run.state == object_pb2.STATE_CANCELLED
        assert state_of(run, "train") == "CANCELLED"
        assert state_of(run, "clean") == "SUCCEEDED"
        assert (await ended(other, begun.name)).state == object_pb2.STATE_CANCELLED
    job = next(iter(services.train.all.jobs.values()))
    assert job.state == object_pb2.STATE_CANCELLED
    summary = json.loads(store.read(Reference.from_proto(run.summary)))
    assert (summary["state"], summary["verified"], len(summary["books"])) == ("CANCELLED", False, len(TEXTS))


async def test_a_cancelled_run_can_be_asked_for_again(store: Store, services: Services) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    async with gateway_for(store, services) as gateway:
        begun = await gateway.create(spec())
        await until(lambda: services.faults.calls["train_model:step"])
        await gateway.cancel(begun.name)
        await ended(gateway, begun.name)
        gate.set()
        again = await ended(gateway, (await gateway.create(spec())).name)
    assert again.state == object_pb2.STATE_SUCCEEDED
    assert services.faults.work["FetchBook"] == len(TEXTS)


async def test_cancelling_a_run_leaves_the_job_that_another_run_waits_for(store: Store, services: Services) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    async with gateway_for(store, services) as gateway:
        one, two = await gateway.create(spec()), await gateway.create(spec())

        async def both() -> bool:
            runs = [await gateway.get(run.name) for run in (one, two)]
            return all(Runs(store).started(r.name.removeprefix("runs/"), "train") for r in runs)

        await until(both)
        await gateway.cancel(one.name)
        assert (await ended(gateway, one.name)).state == object_pb2.STATE_CANCELLED
        gate.set()
        assert (await ended(gateway, two.name)).state == object_pb2.STATE_SUCCEEDED
    assert services.faults.calls["CancelTrainingJob"] == 0


async def test_a_job_that_someone_else_cancels_is_asked_for_again(store: Store, services: Services) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    async with gateway_for(store, services) as gateway:
        begun = await gateway.create(spec())
        await until(lambda: services.faults.calls["train_model:step"])
        services.train.all.cancel(next(iter(services.train.all.jobs)))
        gate.set()
        assert (await ended(gateway, begun.name)).state == object_pb2.STATE_SUCCEEDED
    assert services.faults.calls["CreateTrainingJob"] == 2


async def test_a_run_cancelled_while_no_gateway_was_up_is_ended_by_the_next(store: Store, services: Services) -> None:
    runs = Runs(store)
    begun = Begun("a" * 20, spec(max_books=2), 1.0)
    runs.begin(begun)
    runs.cancel(begun.run)
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, f"runs/{begun.run}")
    assert run.state == object_pb2.STATE_CANCELLED


class FullDisk(Store):
    """The store, whose disk is full while a test says so."""

    full = False

    def put_record(self, key: str, value: JSON) -> None:
        self._room(key)
        super().put_record(key, value)

    def put_bytes(self, area: str, data: bytes, suffix: str = "") -> Reference:
        self._room(area)
        return super().put_bytes(area, data, suffix)

    def _room(self, what: str) -> None:
        if self.full:
            raise Exhausted("STORE_FULL", f"the store is full: {what} was not written")


async def test_a_full_store_is_waited_for_and_shown(store_environment: dict[str, str]) -> None:
    store = FullDisk(settings_of(store_environment))
    async with (
        Services(store, dict(TEXTS)) as services,
        gateway_for(store, services, store_retry_seconds=0.1) as gateway,
    ):
        gate = services.faults.gates["BuildDataset"] = asyncio.Event()
        begun = await gateway.create(spec())
        await until(lambda: services.faults.calls["BuildDataset"])
        store.full = True
        gate.set()

        async def told() -> bool:
            run = await gateway.get(begun.name)
            return any("the store is full" in stage.progress.activity for stage in run.stages)

        await until(told)
        store.full = False
        run = await ended(gateway, begun.name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert services.faults.work["FetchBook"] == len(TEXTS)


async def test_a_full_queue_is_waited_for(store: Store, services: Services) -> None:
    services.faults.raises["CreateTrainingJob"] = [Exhausted("TOO_MANY_JOBS", "eight are waiting")] * 2
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert services.faults.calls["CreateTrainingJob"] == 3
