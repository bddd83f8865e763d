"""Whole runs, in process, over real servers and a real store."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bookmill.v1 import object_pb2, run_pb2
from services.common.errors import Corrupt, NotFound, PermissionDenied, Refused, Unavailable
from services.common.objects import Reference
from services.common.storage import Store
from tests.support.gateways import TEXTS, ended, gateway_for, settings_for, spec, state_of, until
from tests.support.services import Services


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    async with Services(store, dict(TEXTS)) as running:
        yield running


def summary_of(store: Store, run: run_pb2.Run) -> dict:
    return json.loads(store.read(Reference.from_proto(run.summary)))


async def test_a_run_of_a_topic_goes_through_every_stage(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        begun = await gateway.create(spec(max_books=4))
        run = await ended(gateway, begun.name)

    assert run.state == object_pb2.STATE_SUCCEEDED, run.reason
    assert [s.name for s in run.stages] == [
        "search", "fetch", "clean", "chunk", "dataset", "model", "train", "export", "publish", "report",
    ]  # fmt: skip
    assert {state_of(run, s.name) for s in run.stages} == {"SUCCEEDED"}
    assert [f.name for f in run.files] == [
        "horror.q4_k_m.gguf", "Modelfile", "export.json", "dataset/test.parquet", "dataset/train.parquet",
        "dataset/books.json", "adapter/adapter_model.safetensors", "training.json", "report.html", "summary.json",
    ]  # fmt: skip
    summary = summary_of(store, run)
    assert summary["verified"], summary["not_verified"]
    assert summary["asked"] == 4
    assert [b["uri"] for b in summary["books"]] == list(TEXTS)[:4]
    assert summary["books"][0]["removed"]["frame"] > 0
    assert {b["split"] for b in summary["books"]} == {"train", "test"}
    assert [row["step"] for row in summary["training"]["loss_curve"]] == [1, 2, 3, 4]
    assert summary["training"]["perplexity_before"] == 20.0
    assert [p["subject"] for p in summary["perplexities"]] == ["base", "adapter", "merged", "f16", "q4_k_m"]
    assert all(stage["seconds"] > 0 for stage in summary["stages"][:-1])


async def test_the_lineage_leads_from_the_gguf_to_the_books(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(*list(TEXTS)[:2]))).name)
    chain = summary_of(store, run)["lineage"]
    assert chain["gguf"]["q4_k_m"]["from"]["merged"] == chain["merged"]["sha256"]
    assert chain["merged"]["from"]["adapter"] == chain["adapter"]["sha256"]
    assert chain["adapter"]["from"]["dataset"] == chain["dataset"]["sha256"]
    rows = json.loads(b"".join(store.stream(f"manifests/{chain['dataset']['from']['manifest']}.json")))["books"]
    assert {r["chunks"]["sha256"] for r in rows} == {b["chunks"] for b in chain["books"]}
    for book in chain["books"]:
        assert store.stat(f"books/raw/{book['raw']}")
        assert store.stat(f"books/clean/{book['clean']}")


async def test_equal_specs_are_one_work_and_give_equal_digests(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        first = await ended(gateway, (await gateway.create(spec())).name)
        work = dict(services.faults.work)
        second = await ended(gateway, (await gateway.create(spec())).name)
    assert first.name != second.name
    assert services.faults.work == work
    assert [dict(s.digests) for s in first.stages] == [dict(s.digests) for s in second.stages]
    recorded = {s.name: s.recorded for s in second.stages}
    assert recorded["fetch"] == recorded["clean"] == recorded["chunk"] == 6
    assert recorded["dataset"] == recorded["model"] == recorded["train"] == recorded["export"] == 1


async def test_two_equal_runs_at_once_are_one_training(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        one, two = await gateway.create(spec()), await gateway.create(spec())
        assert (await ended(gateway, one.name)).state == object_pb2.STATE_SUCCEEDED
        assert (await ended(gateway, two.name)).state == object_pb2.STATE_SUCCEEDED
    assert services.faults.work["train_model"] == 1


@pytest.mark.parametrize(
    ("method", "error", "stage"),
    [
        ("FetchBook:gutenberg:900002", Refused("HTML_PAGE", "it is a page"), "fetch"),
        ("FetchBook:gutenberg:900002", NotFound("NO_SUCH_BOOK", "no mirror has it"), "fetch"),
        ("FetchBook:gutenberg:900002", Unavailable("SOURCE_UNAVAILABLE", "every mirror failed"), "fetch"),
    ],
)
async def test_a_refused_book_is_set_aside(
    store: Store, services: Services, method: str, error: Exception, stage: str
) -> None:
    services.faults.raises[method] = error
    async with gateway_for(store, services, tries=1) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    summary = summary_of(store, run)
    assert [(r["book"], r["stage"], r["reason"]) for r in summary["refusals"]] == [
        ("gutenberg:900002", stage, error.reason)
    ]
    assert summary["refusals"][0]["title"] == "Title of gutenberg:900002"
    assert [b["uri"] for b in summary["books"]] == [uri for uri in TEXTS if uri != "gutenberg:900002"]
    assert next(s for s in run.stages if s.name == stage).refused == 1


async def test_what_a_later_stage_refuses_is_set_aside_there(store: Store, services: Services) -> None:
    services.texts["gutenberg:900003"] = "*** START\n*** END"
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    refusal = summary_of(store, run)["refusals"][0]
    assert (refusal["stage"], refusal["reason"]) == ("clean", "ONLY_LICENCE")


async def test_a_source_that_answers_again_costs_no_book(store: Store, services: Services) -> None:
    away = Unavailable("SOURCE_UNAVAILABLE", "try later")
    services.faults.raises["FetchBook:gutenberg:900001"] = [away] * 2  # and the third try is answered
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(max_books=2))).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert summary_of(store, run)["refusals"] == []


FORBIDDEN = PermissionDenied("CLUSTER_FORBIDDEN", "the Kubernetes API forbids it: cannot get resource jobs")


async def test_a_job_that_may_not_be_seen_for_a_while_costs_no_run(store: Store, services: Services) -> None:
    services.faults.raises["WatchTrainingJob"] = [FORBIDDEN] * 6
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(max_books=2))).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert services.faults.work["train_model"] == 1


@pytest.mark.parametrize(
    ("method", "reason"), [("WatchTrainingJob", "SERVICE_DOWN"), ("CreateTrainingJob", "CLUSTER_FORBIDDEN")]
)
async def test_a_right_that_stays_away_fails_the_run(
    store: Store, services: Services, method: str, reason: str
) -> None:
    services.faults.raises[method] = FORBIDDEN
    async with gateway_for(store, services, patience_seconds=1) as gateway:
        run = await ended(gateway, (await gateway.create(spec(max_books=2))).name)
    assert (run.state, run.reason.reason) == (object_pb2.STATE_FAILED, reason)
    assert FORBIDDEN.message in run.reason.message


async def test_a_run_whose_every_book_is_refused_fails_and_says_why(store: Store, services: Services) -> None:
    services.faults.raises["FetchBook"] = Refused("CAPTCHA", "the host asks whether we are a person")
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(max_books=3))).name)
    assert run.state == object_pb2.STATE_FAILED
    assert run.reason.reason == "NO_BOOKS_LEFT"
    assert "CAPTCHA (3)" in run.reason.message
    assert state_of(run, "fetch") == "FAILED"
    assert state_of(run, "clean") == "PENDING"
    summary = summary_of(store, run)
    assert summary["state"] == "FAILED"
    assert not summary["verified"]
    assert summary["reason"]["reason"] == "NO_BOOKS_LEFT"


async def test_a_topic_without_books_fails_with_the_catalogues_reason(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(topic="nothing"))).name)
    assert (run.state, run.reason.reason) == (object_pb2.STATE_FAILED, "NO_BOOKS")


async def test_fewer_books_than_asked_is_said(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(max_books=50))).name)
    counts = {c.name: c.value for c in run.stages[0].counts}
    assert counts == {"books": 6, "named": 0, "asked": 50, "matches": 6}
    assert summary_of(store, run)["asked"] == 50


async def test_named_books_come_first_and_each_once(store: Store, services: Services) -> None:
    asked = spec("gutenberg:900004", "gutenberg:900004", topic="horror", max_books=3)
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(asked)).name)
    assert [b["uri"] for b in summary_of(store, run)["books"]] == [
        "gutenberg:900004", "gutenberg:900001", "gutenberg:900002", "gutenberg:900003",
    ]  # fmt: skip


async def test_the_order_of_the_books_changes_no_dataset(store: Store, services: Services) -> None:
    async with gateway_for(store, services) as gateway:
        one = await ended(gateway, (await gateway.create(spec(*list(TEXTS)[:3]))).name)
        other = await ended(gateway, (await gateway.create(spec(*reversed(list(TEXTS)[:3])))).name)
    assert one.stages[0].digests != other.stages[0].digests
    assert one.stages[4].digests == other.stages[4].digests


async def test_a_book_list_is_read_as_books(store: Store, services: Services) -> None:
    listed = {"books": [{"uri": uri, "title": f"My {uri}"} for uri in list(TEXTS)[:3]]}
    reference = store.put_bytes("uploads", json.dumps(listed).encode())
    asked = run_pb2.RunSpec(base_model="hf:a/b", book_list=reference.to_proto())
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(asked)).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert [b["title"] for b in summary_of(store, run)["books"]] == [f"My {uri}" for uri in list(TEXTS)[:3]]
    assert services.faults.calls["SearchBooks"] == 0


async def test_a_job_that_fails_fails_the_run_with_its_reason(store: Store, services: Services) -> None:
    services.export.all.fail = object_pb2.Refusal(reason="PARITY", message="q4_k_m is 0.3 from f16")
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
        assert (run.state, run.reason.reason) == (object_pb2.STATE_FAILED, "PARITY")
        assert state_of(run, "publish") == "PENDING"
        assert summary_of(store, run)["training"]["steps"] == 4
        # The same spec again: what failed is tried anew, what was done is not.
        services.export.all.fail = None
        again = await ended(gateway, (await gateway.create(spec())).name)
    assert again.state == object_pb2.STATE_SUCCEEDED
    assert services.faults.work["train_model"] == 1


async def test_publications_say_what_they_did(store: Store, services: Services) -> None:
    wanted = run_pb2.PublishOptions(
        dataset_repository="me/tales", model_repository="me/m", ollama_model="m", dry_run=True
    )
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec(publish=wanted))).name)
    assert [(p["what"], p["address"], p["dry_run"]) for p in summary_of(store, run)["publications"]] == [
        ("dataset", "me/tales", True), ("model", "me/m", True), ("ollama", "m", True),
    ]  # fmt: skip
    provenance = services.export.sent[0].provenance
    assert provenance.base_model == f"hf:example/tiny@{'c' * 40}"
    assert provenance.topic == "horror"
    rows = json.loads(store.read(Reference.from_proto(provenance.books)))["books"]
    assert rows[0]["source"] == "https://www.gutenberg.org/ebooks/900001"


async def test_a_base_model_that_is_refused_fails_the_run_at_once(store: Store, services: Services) -> None:
    services.faults.gates["FetchBook"] = asyncio.Event()  # no book ever comes
    gate = services.faults.gates["FetchModel"] = asyncio.Event()
    services.faults.raises["FetchModel"] = Refused("ONLY_PICKLES", "convert it to safetensors")
    async with gateway_for(store, services) as gateway:
        begun = await gateway.create(spec())
        await until(lambda: services.faults.calls["FetchBook"])
        gate.set()
        run = await ended(gateway, begun.name)
    assert (run.state, run.reason.reason) == (object_pb2.STATE_FAILED, "ONLY_PICKLES")
    assert state_of(run, "model") == "FAILED"
    assert state_of(run, "fetch") == "CANCELLED"


async def test_a_damaged_object_is_no_reason_to_stop(store: Store, services: Services) -> None:
    services.faults.raises["CleanBook"] = [Corrupt("CORRUPT_OBJECT", "it was changed")]
    async with gateway_for(store, services) as gateway:
        run = await ended(gateway, (await gateway.create(spec())).name)
    assert run.state == object_pb2.STATE_SUCCEEDED
    assert [r["reason"] for r in summary_of(store, run)["refusals"]] == ["CORRUPT_OBJECT"]


async def test_progress_is_seen_while_a_stage_is_at_work(store: Store, services: Services) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    async with gateway_for(store, services) as gateway:
        begun = await gateway.create(spec())

        async def training() -> run_pb2.Stage | None:
            stage = (await gateway.get(begun.name)).stages[6]
            return stage if stage.progress.total else None

        stage = await until(training)
        assert (stage.progress.unit, stage.progress.figures["loss"]) == ("steps", 2.0)
        gate.set()
        assert (await ended(gateway, begun.name)).state == object_pb2.STATE_SUCCEEDED


def test_settings_for_tests_name_every_service(services: Services) -> None:
    settings = settings_for(services)
    assert all(getattr(settings, name).startswith("127.0.0.1:") for name in services.ports)
