"""Publishing to a Hub: what arrives, what is refused, and what happens when the Hub has a bad day."""

import asyncio
import hashlib
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bookmill.v1 import export_pb2
from services.common.canonical import canonical_json
from services.common.errors import BookmillError
from services.common.storage import Store
from services.export.hub import Hub, Item
from services.export.patience import Patience
from services.export.publishing import Publisher
from services.export.publishing_settings import PublishingSettings
from tests.support.finished import BOOKS, FIGURES, MODELFILE, Finished
from tests.support.hub import ORG_TOKEN, READ_TOKEN, WRITE_TOKEN, HubDouble

PROVENANCE = {"topic": "horror", "base_model": "hf:org/tiny@0123456789", "base_licence": "apache-2.0"}


class Desk:
    """A publisher with a Hub, and requests that work."""

    def __init__(self, store: Store, folder: Path, hub: HubDouble) -> None:
        self.store, self.folder, self.hub = store, folder, hub
        self.finished = Finished(store, folder)
        self.token = folder / "token"
        self.token.write_text(WRITE_TOKEN + "\n")
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.publishers: list[Publisher] = []

    def publisher(self, **settings: object) -> Publisher:
        defaults = {
            "hub_endpoint": self.hub.url, "hub_token_file": self.token, "scratch": self.scratch,
            "backoff_seconds": 0.01, "idle_seconds": 5.0,
        }  # fmt: skip
        self.publishers.append(Publisher(self.store, PublishingSettings.model_validate(defaults | settings)))
        return self.publishers[-1]

    def dataset(self, **fields: object) -> export_pb2.PublishDatasetRequest:
        provenance = export_pb2.Provenance(**PROVENANCE, books=self.finished.books())
        defaults = {"dataset": self.finished.dataset(), "repository": "me/tales", "provenance": provenance}
        return export_pb2.PublishDatasetRequest(**(defaults | fields))

    def model(self, **fields: object) -> export_pb2.PublishModelRequest:
        provenance = export_pb2.Provenance(**PROVENANCE, books=self.finished.books())
        defaults = {"repository": "me/tale-1m", "provenance": provenance}
        if "export_job" not in fields:
            defaults["export_job"] = self.finished.save()
        return export_pb2.PublishModelRequest(**(defaults | fields))


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Iterator[Desk]:
    with HubDouble() as hub:
        desk = Desk(store, tmp_path, hub)
        yield desk
        for publisher in desk.publishers:
            publisher.close()


async def refused(work: Callable[[], object]) -> BookmillError:
    with pytest.raises(BookmillError) as caught:
        await work()  # type: ignore[misc]
    return caught.value


async def test_a_dataset_arrives_in_one_commit_and_is_not_sent_twice(desk: Desk) -> None:
    request = desk.dataset()
    publisher = desk.publisher()
    first = await publisher.publish_dataset(request)

    files = desk.hub.files("me/tales", "dataset")
    assert files["train.parquet"] == b"PAR1\0" * 3000
    assert files["test.parquet"] == b"PAR1\0" * 300
    assert files["books.json"] == canonical_json(BOOKS)
    assert files["README.md"].decode() == first.card
    assert {f.path for f in first.files} == {"README.md", "books.json", "train.parquet", "test.parquet"}
    assert all(len(files[f.path]) == f.size_bytes for f in first.files)
    assert [c.title for c in desk.hub.commits("me/tales", "dataset")] == [
        "initial commit", f"Publish dataset {request.dataset.sha256[:12]}",
    ]  # fmt: skip
    assert first.commit == desk.hub.commits("me/tales", "dataset")[-1].oid
    assert first.address == f"{desk.hub.url}/datasets/me/tales"

    sent, looked = desk.hub.asked("PUT", "/upload/"), desk.hub.asked("POST", "/preupload/")
    second = await publisher.publish_dataset(request)
    assert second == first
    assert len(desk.hub.commits("me/tales", "dataset")) == 2
    assert desk.hub.asked("PUT", "/upload/") == sent == 2
    assert desk.hub.asked("POST", "/preupload/") == looked
    assert list(desk.scratch.iterdir()) == []


async def test_a_changed_card_is_a_commit_that_sends_the_card_alone(desk: Desk) -> None:
    publisher = desk.publisher()
    await publisher.publish_dataset(desk.dataset())
    sent = desk.hub.asked("PUT", "/upload/")
    other = desk.dataset()
    other.provenance.topic = "ghosts"
    await publisher.publish_dataset(other)
    assert desk.hub.asked("PUT", "/upload/") == sent
    assert len(desk.hub.commits("me/tales", "dataset")) == 3
    assert b"ghosts" in desk.hub.files("me/tales", "dataset")["README.md"]


async def test_files_of_others_in_the_repository_stay(desk: Desk) -> None:
    desk.hub.add_model("me/tales", {"notes.md": b"mine", "README.md": b"old"}, kind="dataset")
    await desk.publisher().publish_dataset(desk.dataset())
    assert desk.hub.files("me/tales", "dataset")["notes.md"] == b"mine"
    assert desk.hub.files("me/tales", "dataset")["README.md"] != b"old"


@pytest.mark.parametrize("merged", [False, True])
async def test_a_model_arrives_with_what_it_takes_to_run_it(desk: Desk, merged: bool) -> None:
    response = await desk.publisher().publish_model(desk.model(include_merged=merged, private=True))
    files = desk.hub.files("me/tale-1m")
    expected = {".gitattributes", "README.md", "books.json", "tale.q4_k_m.gguf", "Modelfile", "export-report.json"}
    assert set(files) == expected | ({"config.json", "model.safetensors"} if merged else set())
    assert files["tale.q4_k_m.gguf"] == desk.finished.gguf["q4_k_m"]
    assert files["Modelfile"].decode() == MODELFILE
    repository = desk.hub.repository("me/tale-1m")
    assert repository is not None
    assert repository.private
    head = yaml.safe_load(response.card.split("---")[1])
    assert head["base_model"] == "org/tiny"
    assert head["license"] == "apache-2.0"
    assert head["pipeline_tag"] == "text-generation"
    assert "20.9000" in response.card
    assert desk.finished.save() == f"exportJobs/{desk.hub.commits('me/tale-1m')[-1].title.split()[-1]}"


async def test_a_dry_run_says_the_same_and_asks_nobody(desk: Desk) -> None:
    desk.token.unlink()
    dry = await desk.publisher().publish_model(desk.model(dry_run=True))
    dry_dataset = await desk.publisher().publish_dataset(desk.dataset(dry_run=True))
    assert desk.hub.requests == []
    assert dry.dry_run
    assert dry.commit == ""
    desk.token.write_text(WRITE_TOKEN)
    wet = await desk.publisher().publish_model(desk.model())
    assert (list(dry.files), dry.card, dry.address) == (list(wet.files), wet.card, wet.address)
    wet_dataset = await desk.publisher().publish_dataset(desk.dataset())
    assert (list(dry_dataset.files), dry_dataset.card) == (list(wet_dataset.files), wet_dataset.card)


async def test_an_organisation_of_the_user_is_theirs(desk: Desk) -> None:
    desk.token.write_text(ORG_TOKEN)
    await desk.publisher().publish_dataset(desk.dataset(repository="house/tales"))
    assert desk.hub.commits("house/tales", "dataset")[-1].user == "member"


async def test_a_token_that_may_not_create_can_write_what_there_is(desk: Desk) -> None:
    desk.hub.add_model("me/tales", {"notes.md": b"mine"}, kind="dataset")
    desk.hub.fail("POST", "/repos/create", 403, 1)
    await desk.publisher().publish_dataset(desk.dataset())
    assert "train.parquet" in desk.hub.files("me/tales", "dataset")
    desk.hub.fail("POST", "/repos/create", 403, 1)
    error = await refused(lambda: desk.publisher().publish_dataset(desk.dataset(repository="me/new")))
    assert error.reason == "NOT_YOURS"


async def test_one_large_file_lies_in_the_scratch_folder_at_a_time(desk: Desk) -> None:
    seen: list[int] = []
    items = []
    for number in range(3):
        data = bytes([number]) * 20_000

        def fetch(path: Path, data: bytes = data) -> None:
            path.write_bytes(data)
            seen.append(len(list(desk.scratch.iterdir())))

        items.append(Item(f"{number}.bin", hashlib.sha256(data).hexdigest(), len(data), fetch))
    settings = PublishingSettings(hub_endpoint=desk.hub.url, hub_token_file=desk.token)
    hub = Hub(settings)
    await asyncio.to_thread(hub.publish, "model", "me/three", items, desk.scratch, Patience(30, 2, 0.01, 1))
    assert seen == [1, 1, 1]
    assert len(desk.hub.files("me/three")) == 4


@pytest.mark.parametrize(
    ("token", "repository", "reason"),
    [
        (None, "me/tales", "NO_TOKEN"),
        ("", "me/tales", "NO_TOKEN"),
        ("hf_wrong", "me/tales", "BAD_TOKEN"),
        ("hf_one\nhf_two", "me/tales", "BAD_TOKEN"),
        (READ_TOKEN, "me/tales", "NOT_YOURS"),
        (WRITE_TOKEN, "someone/tales", "NOT_YOURS"),
        (WRITE_TOKEN, "org/theirs", "NOT_YOURS"),
        (WRITE_TOKEN, "org/hidden", "NOT_YOURS"),
        (WRITE_TOKEN, "tales", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "me/tales/more", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "me/..", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "me/a--b", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "me/tales.git", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "me/ta les", "BAD_REPOSITORY"),
        (WRITE_TOKEN, "", "BAD_REPOSITORY"),
    ],
)
async def test_what_the_hub_or_we_refuse(desk: Desk, token: str | None, repository: str, reason: str) -> None:
    desk.hub.add_model("org/theirs", {"README.md": b"x"}, kind="dataset")
    desk.hub.add_model("org/hidden", {"README.md": b"x"}, kind="dataset", private=True)
    desk.token.unlink() if token is None else desk.token.write_text(token)
    error = await refused(lambda: desk.publisher().publish_dataset(desk.dataset(repository=repository)))
    assert error.reason == reason, error.message
    assert token is None or token == "" or token not in error.message
    assert desk.hub.commits("me/tales", "dataset") == []


async def test_without_a_token_file_nobody_is_asked(desk: Desk) -> None:
    error = await refused(lambda: desk.publisher(hub_token_file=None).publish_dataset(desk.dataset()))
    assert error.reason == "NO_TOKEN"
    assert "BOOKMILL_PUBLISH_HUB_TOKEN_FILE" in error.message
    assert desk.hub.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/whoami"),
        ("POST", "/repos/create"),
        ("GET", "/revision/"),
        ("GET", "/tree/"),
        ("POST", "/preupload/"),
        ("POST", "/objects/batch"),
        ("PUT", "/upload/"),
        ("POST", "/objects/verify"),
        ("POST", "/commit/"),
    ],
)
@pytest.mark.parametrize("status", [500, 429, 0])
async def test_two_failures_anywhere_are_survived(desk: Desk, method: str, path: str, status: int) -> None:
    desk.hub.fail(method, path, status, 2, headers={"Retry-After": "0"} if status == 429 else {})
    await desk.publisher().publish_dataset(desk.dataset())
    assert len(desk.hub.commits("me/tales", "dataset")) == 2
    assert desk.hub.files("me/tales", "dataset")["train.parquet"] == b"PAR1\0" * 3000


@pytest.mark.parametrize("status", [500, 0])
async def test_a_commit_whose_answer_is_lost_is_not_made_twice(desk: Desk, status: int) -> None:
    desk.hub.fail("POST", "/commit/", status, 1, after=True)
    response = await desk.publisher().publish_dataset(desk.dataset())
    commits = desk.hub.commits("me/tales", "dataset")
    assert len(commits) == 2
    assert response.commit == commits[-1].oid


async def test_a_commit_that_comes_in_between_is_kept(desk: Desk) -> None:
    await desk.publisher().publish_dataset(desk.dataset())
    desk.hub.fail("POST", "/commit/", 412, 1, body=b'{"error": "A commit has happened since"}')
    other = desk.dataset()
    other.provenance.topic = "ghosts"
    await desk.publisher().publish_dataset(other)
    assert len(desk.hub.commits("me/tales", "dataset")) == 3


@pytest.mark.parametrize("path", ["/whoami", "/commit/", "/upload/"])
async def test_a_hub_that_stays_away_is_given_up(desk: Desk, path: str) -> None:
    desk.hub.fail("*", path, 503, 100)
    error = await refused(lambda: desk.publisher().publish_dataset(desk.dataset()))
    assert error.reason == "HUB_UNAVAILABLE"
    assert "503" in error.message
    assert "X-Signature" not in error.message
    assert len(desk.hub.commits("me/tales", "dataset")) < 2
    assert sum(re.search(path, p) is not None for _, p in desk.hub.requests) == 4


async def test_a_hub_that_asks_for_an_hour_is_not_waited_for(desk: Desk) -> None:
    desk.hub.fail("GET", "/whoami", 429, 9, headers={"Retry-After": "3600"})
    started = time.monotonic()
    error = await refused(lambda: desk.publisher().publish_dataset(desk.dataset()))
    assert error.reason == "HUB_UNAVAILABLE"
    assert "3600" in error.message
    assert time.monotonic() - started < 5
    assert desk.hub.asked("GET", "/whoami") == 1


async def test_a_hub_that_says_nothing_is_given_up(desk: Desk) -> None:
    desk.hub.fail("GET", "/tree/", 200, 9, seconds=60)
    error = await refused(lambda: desk.publisher(idle_seconds=0.2).publish_dataset(desk.dataset()))
    assert error.reason == "HUB_UNAVAILABLE"
    assert "Timeout" in error.message


async def test_a_hub_that_is_not_there_is_said(desk: Desk) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = await refused(lambda: desk.publisher(hub_endpoint=address).publish_dataset(desk.dataset()))
    assert error.reason == "HUB_UNAVAILABLE"
    assert address in error.message


async def test_an_answer_that_is_no_hubs_is_said(desk: Desk) -> None:
    desk.hub.fail("GET", "/whoami", 200, 9, body=b"<html>Welcome to the hotel's network</html>")
    error = await refused(lambda: desk.publisher().publish_dataset(desk.dataset()))
    assert error.reason == "HUB_UNAVAILABLE"


async def test_a_publication_ends_at_its_deadline(desk: Desk) -> None:
    desk.hub.fail("GET", "/tree/", 503, 99, headers={"Retry-After": "1"})
    started = time.monotonic()
    error = await refused(lambda: desk.publisher(total_seconds=0.5).publish_dataset(desk.dataset()))
    assert error.reason == "PUBLISHING_DEADLINE"
    assert time.monotonic() - started < 5


async def test_a_caller_that_goes_away_stops_the_publication(desk: Desk) -> None:
    desk.hub.fail("GET", "/tree/", 503, 99, headers={"Retry-After": "30"})
    publisher = desk.publisher()
    task = asyncio.create_task(publisher.publish_dataset(desk.dataset()))
    await until(lambda: desk.hub.asked("GET", "/tree/") > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: list(desk.scratch.iterdir()) == [])
    assert desk.hub.asked("GET", "/tree/") == 1


async def test_an_object_that_changed_in_the_store_is_found_before_anything_is_seen(desk: Desk) -> None:
    request = desk.model()
    gguf = desk.finished.gguf["q4_k_m"]
    reference = desk.store.put_bytes("models", gguf, ".gguf")
    overwrite(desk.store, reference.key, gguf[:-1] + b"!")
    error = await refused(lambda: desk.publisher().publish_model(request))
    assert error.reason == "NOT_VERIFIED"
    assert reference.key in error.message
    assert set(desk.hub.files("me/tale-1m")) == {".gitattributes"}
    assert list(desk.scratch.iterdir()) == []


async def test_a_changed_file_of_a_dataset_is_found(desk: Desk) -> None:
    request = desk.dataset()
    key = request.dataset.key.replace("manifest.json", "train.parquet")
    overwrite(desk.store, key, b"PAR2\0" * 3000)
    assert (await refused(lambda: desk.publisher().publish_dataset(request))).reason == "CORRUPT_OBJECT"
    assert set(desk.hub.files("me/tales", "dataset")) == {".gitattributes"}


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"merged": 20.5}, "merged"),
        ({"f16": 25.0}, "f16"),
        ({"q4_k_m": 30.0}, "q4_k_m"),
        ({"q4_k_m": float("inf")}, "q4_k_m"),
        ({"adapter": 0.0}, "adapter"),
    ],
)
async def test_a_model_out_of_bounds_is_never_published(desk: Desk, figures: dict[str, float], named: str) -> None:
    desk.finished.figures |= figures
    if float("inf") in figures.values():  # which JSON cannot say
        desk.finished.reported = dict(FIGURES)
    job = desk.finished.save()
    for work in (
        lambda: desk.publisher().publish_model(desk.model(export_job=job)),
        lambda: desk.publisher().publish_model(desk.model(export_job=job, dry_run=True)),
        lambda: desk.publisher().push_ollama_model(export_pb2.PushOllamaModelRequest(export_job=job, model="tale")),
    ):
        error = await refused(work)
        assert error.reason == "NOT_VERIFIED"
        assert named in error.message
    assert desk.hub.requests == []


async def test_a_figure_that_was_not_measured_is_missed(desk: Desk) -> None:
    del desk.finished.figures["f16"]
    error = await refused(lambda: desk.publisher().publish_model(desk.model()))
    assert error.reason == "NOT_VERIFIED"
    assert "f16" in error.message


async def test_a_report_that_says_otherwise_is_refused(desk: Desk) -> None:
    desk.finished.reported = FIGURES | {"q4_k_m": 31.0}
    error = await refused(lambda: desk.publisher().publish_model(desk.model()))
    assert error.reason == "NOT_VERIFIED"
    assert "31.0" in error.message


@pytest.mark.parametrize("parity", [[{"apart": 0.2, "bound": 0.1}], [{}], None, "held"])
async def test_a_report_that_does_not_say_that_parity_held_is_refused(desk: Desk, parity: Any) -> None:
    desk.finished.parity = parity
    error = await refused(lambda: desk.publisher().publish_model(desk.model()))
    assert error.reason == "NOT_VERIFIED"
    assert "parity" in error.message


@pytest.mark.parametrize("job", ["", "exportJobs/export-" + "0" * 20, "exportJobs/../x", "trainingJobs/1", "export-1"])
async def test_an_export_that_never_was_is_refused(desk: Desk, job: str) -> None:
    error = await refused(lambda: desk.publisher().publish_model(desk.model(export_job=job)))
    assert error.reason == "NOT_VERIFIED"
    assert desk.hub.requests == []


async def test_an_export_whose_file_is_gone_is_refused(desk: Desk) -> None:
    request = desk.model()
    desk.store.delete(desk.store.put_bytes("models", desk.finished.gguf["q4_k_m"], ".gguf").key)
    assert (await refused(lambda: desk.publisher().publish_model(request))).reason == "NOT_VERIFIED"


async def test_only_a_dataset_is_published_as_one(desk: Desk) -> None:
    desk.finished.save()
    model = next(k for k in desk.store.list("models/") if k.endswith("manifest.json"))
    request = desk.dataset()
    request.dataset.key = model
    assert (await refused(lambda: desk.publisher().publish_dataset(request))).reason == "BAD_REFERENCE"


async def test_the_token_is_read_anew_and_seen_by_nobody_else(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    publisher = desk.publisher()
    desk.token.write_text("hf_expired")
    await refused(lambda: publisher.publish_dataset(desk.dataset()))
    desk.token.write_text(WRITE_TOKEN)
    response = await publisher.publish_dataset(desk.dataset())
    assert desk.hub.tokens_seen == {"hf_expired", WRITE_TOKEN}
    assert WRITE_TOKEN not in caplog.text + str(response)
    assert "hf_expired" not in caplog.text


def overwrite(store: Store, key: str, data: bytes) -> None:
    """Changes an object behind everybody's back."""
    from io import BytesIO

    store._client.put_object(bucket_name=store._bucket, object_name=key, data=BytesIO(data), length=len(data))


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for a condition, and fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)
