"""RunService as a client sees it: begin, find, list, delete, prune."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bookmill.v1 import object_pb2, run_pb2
from services.common.errors import AlreadyExists, InvalidInput, NotFound, Refused
from services.common.storage import Store
from services.gateway.operating import Gateway
from services.gateway.runs import Begun, Runs
from tests.support.gateways import TEXTS, ended, gateway_for, spec, until
from tests.support.services import Services


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    async with Services(store, dict(TEXTS)) as running:
        yield running


@pytest.fixture
async def gateway(store: Store, services: Services) -> AsyncIterator[Gateway]:
    async with gateway_for(store, services) as running:
        yield running


async def test_a_request_id_begins_one_run(gateway: Gateway) -> None:
    first = await gateway.create(spec(max_books=2), "request-1")
    assert (await gateway.create(spec(max_books=2), "request-1")).name == first.name
    with pytest.raises(AlreadyExists) as caught:
        await gateway.create(spec(max_books=3), "request-1")
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert (await ended(gateway, first.name)).state == object_pb2.STATE_SUCCEEDED
    assert (await gateway.create(spec(max_books=2), "request-1")).state == object_pb2.STATE_SUCCEEDED


async def test_validating_starts_nothing(gateway: Gateway, services: Services) -> None:
    run = await gateway.create(spec(), validate_only=True)
    assert (run.state, run.spec.max_books, list(run.spec.quantizations)) == (object_pb2.STATE_PENDING, 20, ["q4_k_m"])
    assert (await gateway.list(0, "")).ids == ()


@pytest.mark.parametrize(
    ("fields", "reason", "choice"),
    [
        ({"quantizations": ["q4km"]}, "BAD_QUANTISATION", "q4_k_m"),
        ({"hyperparameters": {"lora_rank": 13}}, "BAD_HYPERPARAMETER", None),
    ],
)
async def test_what_a_service_knows_better_is_asked_before_anything_starts(
    gateway: Gateway, fields: dict, reason: str, choice: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await gateway.create(spec(**fields))
    assert caught.value.reason == reason
    assert choice is None or choice in caught.value.metadata["choices"]


async def test_an_upload_that_is_not_there_is_refused_at_once(gateway: Gateway) -> None:
    with pytest.raises(NotFound) as caught:
        await gateway.create(spec("upload:" + "a" * 64))
    assert (caught.value.reason, caught.value.metadata["field"]) == ("NO_SUCH_UPLOAD", "books[0].uri")


async def test_pages_hold_every_run_once_newest_first(gateway: Gateway, store: Store) -> None:
    runs = Runs(store)
    for number in range(7):
        begun = Begun(f"{number:020}", spec(max_books=1), 1000.0 + number // 2)
        runs.begin(begun)
        runs.end(run_pb2.Run(name=f"runs/{begun.run}", state=object_pb2.STATE_CANCELLED))
    seen, token = [], ""
    while True:
        page = await gateway.list(3, token)
        seen += [run.name for run in page.runs]
        if not page.next_token:
            break
        token = page.next_token
        # One that is begun meanwhile moves nothing.
        runs.begin(Begun(f"9{len(seen):019}", spec(max_books=1), 5000.0 + len(seen)))
    assert [int(name[-2:]) for name in seen] == [6, 4, 5, 2, 3, 0, 1]


async def test_a_page_never_outgrows_a_message(gateway: Gateway, store: Store) -> None:
    runs = Runs(store)
    big = spec(*(f"https://example.org/{'x' * 300}/{n}" for n in range(60)))
    for number in range(5):
        begun = Begun(f"{number:020}", big, float(number))
        runs.begin(begun)
        runs.end(run_pb2.Run(name=f"runs/{begun.run}", state=object_pb2.STATE_CANCELLED))
    names, token = [], ""
    while True:
        page = await gateway.list(100, token)
        size = run_pb2.ListRunsResponse(runs=page.runs, next_page_token=page.next_token).ByteSize()
        assert size < 64 << 10
        names += [run.name for run in page.runs]
        token = page.next_token
        if not token:
            break
    assert [int(name[-1]) for name in names] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("size", "token", "reason"), [(101, "", "BAD_PAGE_SIZE"), (-1, "", "BAD_PAGE_SIZE"), (5, "xx", "BAD_PAGE_TOKEN")]
)
async def test_bad_pages(gateway: Gateway, size: int, token: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await gateway.list(size, token)
    assert caught.value.reason == reason


async def test_an_unknown_run_names_the_newest(gateway: Gateway) -> None:
    run = await ended(gateway, (await gateway.create(spec(max_books=1))).name)
    for name in ("runs/nope", "runs/../x", "runs/", run.name + "0"):
        with pytest.raises(NotFound) as caught:
            await gateway.get(name)
        assert caught.value.metadata["choices"] == run.name


async def test_only_a_final_run_is_deleted(gateway: Gateway, services: Services, store: Store) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    begun = await gateway.create(spec())
    await until(lambda: services.faults.calls["train_model:step"])
    with pytest.raises(Refused) as caught:
        await gateway.delete(begun.name)
    assert caught.value.reason == "RUN_NOT_FINAL"
    gate.set()
    await ended(gateway, begun.name)
    await gateway.delete(begun.name)
    assert list(store.list("runs/")) == []
    with pytest.raises(NotFound):
        await gateway.get(begun.name)


async def test_pruning_keeps_all_that_a_run_refers_to(gateway: Gateway, store: Store) -> None:
    kept = await ended(gateway, (await gateway.create(spec(max_books=3))).name)
    of_kept = set(store.list(""))
    gone = await ended(gateway, (await gateway.create(spec("gutenberg:900006", base_model="hf:other/model"))).name)
    upload = store.put_bytes("uploads", b"no one's")
    of_both = set(store.list(""))
    await gateway.delete(gone.name)
    await _aged(gateway, store)

    said = await _pruned(gateway, dry_run=True)
    assert set(store.list("")) == of_both - {key for key in of_both if key.startswith(gone.name)}
    done = await _pruned(gateway, dry_run=False)
    assert done == said
    left = set(store.list(""))
    assert upload.key not in left
    assert left == of_kept
    # Every record that is left can be answered from, and the kept run is as it was.
    for key in left:
        if key.startswith("results/"):
            for refers in _keys(store.get_record(key)["response"]):
                assert refers in left
    again = await ended(gateway, (await gateway.create(spec(max_books=3))).name)
    assert [s.recorded for s in again.stages][1:5] == [3, 3, 3, 1]
    assert [dict(s.digests) for s in again.stages] == [dict(s.digests) for s in kept.stages]


async def test_pruning_leaves_what_is_young(gateway: Gateway, store: Store) -> None:
    run = await ended(gateway, (await gateway.create(spec(max_books=2))).name)
    await gateway.delete(run.name)
    before = set(store.list(""))
    assert (await gateway.prune(0, dry_run=False)).objects == 0
    assert set(store.list("")) == before


async def test_pruning_while_a_run_is_at_work_breaks_nothing(
    gateway: Gateway, services: Services, store: Store
) -> None:
    gone = await ended(gateway, (await gateway.create(spec())).name)
    await gateway.delete(gone.name)
    await _aged(gateway, store)
    # The run is answered from the records of the deleted one, and holds what they refer to in memory alone.
    gate = services.faults.gates["ChunkBook"] = asyncio.Event()
    begun = await gateway.create(spec())
    await until(lambda: services.faults.calls["ChunkBook"] > len(TEXTS))
    before = set(store.list("books/")) | set(store.list("results/"))
    await _pruned(gateway, dry_run=False)
    assert before <= set(store.list(""))
    gate.set()
    assert (await ended(gateway, begun.name)).state == object_pb2.STATE_SUCCEEDED


async def test_a_negative_age_is_refused(gateway: Gateway) -> None:
    with pytest.raises(InvalidInput) as caught:
        await gateway.prune(-1, dry_run=True)
    assert caught.value.reason == "BAD_AGE"


async def _aged(gateway: Gateway, store: Store) -> None:
    """Waits until everything is more than a second old: S3 tells times in whole seconds."""
    from datetime import UTC, datetime, timedelta

    newest = max(entry.modified for entry in store.entries(""))
    await until(lambda: datetime.now(UTC) > newest + timedelta(seconds=2.2))


async def _pruned(gateway: Gateway, dry_run: bool):
    return await gateway.prune(1, dry_run)


def _keys(value: object) -> list[str]:
    text = json.dumps(value)
    return [part.split('"')[0] for part in text.split('"key": "')[1:]]


async def test_the_first_word_on_a_stage_stands(store: Store) -> None:
    """Two gateways that searched at different moments go on from one list."""
    runs = Runs(store)
    first = runs.finish_stage("r", run_pb2.Stage(name="search", state=object_pb2.STATE_SUCCEEDED, seconds=1), {"n": 1})
    second = runs.finish_stage("r", run_pb2.Stage(name="search", state=object_pb2.STATE_SUCCEEDED, seconds=2), {"n": 2})
    assert second == first == runs.finished("r", "search")
    assert runs.result(first.result) == {"n": 1}
    runs.start_stage("r", "train", 5.0, "trainingJobs/a")
    runs.start_stage("r", "train", 9.0, "trainingJobs/a")
    assert runs.started("r", "train") == {"begun_at": 5.0, "job": "trainingJobs/a"}
