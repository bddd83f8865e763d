"""The service over gRPC in this process, its workers and a real S3 store."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import datasets
import grpc
import pyarrow.parquet as pq
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bookmill.v1 import chunk_pb2, chunk_pb2_grpc, object_pb2
from deploy.examples.catalogue import TALES
from services.chunk.__main__ import SERVICE
from services.chunk.rooms import prepare
from services.chunk.servicer import ChunkServicer
from services.chunk.settings import ChunkSettings
from services.common.canonical import canonical_json
from services.common.clients import call, channel
from services.common.errors import BookmillError
from services.common.objects import Reference
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.storage import Store
from services.common.workers import Workers

TEXT = "The lamp was lit, and Dr. Crewe went down to the sea. " * 40 + "\n\nHe did not come back.\n"
QUICK = ServerSettings(drain_seconds=1, not_serving_seconds=0)


@pytest.fixture(scope="module")
def workers() -> Any:
    workers = Workers(1)
    yield workers
    workers.close()


@pytest.fixture
async def peer(store: Store, workers: Workers, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    settings = ChunkSettings(work_dir=tmp_path / "work", text_limit=20_000_000)
    prepare(settings.work_dir)
    servicer = ChunkServicer(store, workers, settings)
    async with (
        serving(QUICK, lambda s: chunk_pb2_grpc.add_ChunkServiceServicer_to_server(servicer, s), (SERVICE,)) as port,
        channel(f"127.0.0.1:{port}") as peer,
    ):
        yield peer
    assert list(settings.work_dir.iterdir()) == []


async def chunk_book(
    peer: grpc.aio.Channel, text: object_pb2.ObjectReference, limit: int = 0
) -> tuple[chunk_pb2.ChunkBookResponse, bool]:
    method = chunk_pb2_grpc.ChunkServiceStub(peer).ChunkBook
    request = chunk_pb2.ChunkBookRequest(text=text, max_characters=limit)
    return await call(method, request, chunk_pb2.ChunkBookResponse, timeout=60)


async def build_dataset(
    peer: grpc.aio.Channel, manifest: object_pb2.ObjectReference, fraction: float = 0.0
) -> tuple[chunk_pb2.BuildDatasetResponse, bool]:
    method = chunk_pb2_grpc.ChunkServiceStub(peer).BuildDataset
    request = chunk_pb2.BuildDatasetRequest(manifest=manifest, held_out_fraction=fraction)
    return await call(method, request, chunk_pb2.BuildDatasetResponse, timeout=60)


def row(book: str, chunks: object_pb2.ObjectReference) -> dict[str, Any]:
    about = {"id": book, "title": f"Title of {book}", "author": "Tarrant, Maud", "source": "https://example.org"}
    return about | {"chunks": Reference.from_proto(chunks).to_json()}


def put_manifest(store: Store, rows: list[dict[str, Any]]) -> object_pb2.ObjectReference:
    return store.put_bytes("manifests", canonical_json({"books": rows}), ".json").to_proto()


async def test_a_book_is_chunked_once(peer: grpc.aio.Channel, store: Store, tmp_path: Path) -> None:
    text = store.put_bytes("books/clean", TEXT.encode()).to_proto()
    made, recorded = await chunk_book(peer, text, 300)
    assert not recorded
    assert made.chunks.key == f"chunks/{made.chunks.sha256}.parquet"
    store.download(Reference.from_proto(made.chunks), tmp_path / "chunks")
    table = pq.read_table(tmp_path / "chunks")
    assert "".join(table["text"].to_pylist()) == TEXT
    assert table["position"].to_pylist() == list(range(made.chunk_count))
    assert made.characters == len(TEXT)
    assert await chunk_book(peer, text, 300) == (made, True)


async def test_the_default_and_its_absence_are_one_request(peer: grpc.aio.Channel, store: Store) -> None:
    text = store.put_bytes("books/clean", TEXT.encode()).to_proto()
    made, _ = await chunk_book(peer, text)
    assert await chunk_book(peer, text, 7000) == (made, True)


async def test_chunks_that_were_deleted_are_made_again(peer: grpc.aio.Channel, store: Store) -> None:
    text = store.put_bytes("books/clean", TEXT.encode()).to_proto()
    made, _ = await chunk_book(peer, text)
    store.delete(made.chunks.key)
    assert await chunk_book(peer, text) == (made, False)
    assert store.stat(made.chunks.key) == made.chunks.size_bytes


@pytest.mark.parametrize(
    ("data", "limit", "code", "reason"),
    [
        (b"One.\n", 199, grpc.StatusCode.INVALID_ARGUMENT, "BAD_LIMIT"),
        (b"One.\n", 100_001, grpc.StatusCode.INVALID_ARGUMENT, "BAD_LIMIT"),
        (b"One.\n", -1, grpc.StatusCode.INVALID_ARGUMENT, "BAD_LIMIT"),
        (b"na\xefve", 0, grpc.StatusCode.INVALID_ARGUMENT, "BAD_REFERENCE"),
        (b"", 0, grpc.StatusCode.FAILED_PRECONDITION, "EMPTY"),
        (b" \n\n ", 0, grpc.StatusCode.FAILED_PRECONDITION, "EMPTY"),
        (b"word " * 1_000_000, 0, grpc.StatusCode.FAILED_PRECONDITION, "TOO_LONG"),
        (b"A word. " * 3_000_000, 0, grpc.StatusCode.FAILED_PRECONDITION, "TOO_LONG"),
    ],
)
async def test_what_is_declined(
    peer: grpc.aio.Channel, store: Store, data: bytes, limit: int, code: grpc.StatusCode, reason: str
) -> None:
    text = store.put_bytes("books/clean", data).to_proto()
    with pytest.raises(BookmillError) as error:
        await chunk_book(peer, text, limit)
    assert (error.value.code, error.value.reason) == (code, reason)


async def test_a_text_that_is_gone_or_changed(peer: grpc.aio.Channel, store: Store) -> None:
    gone = object_pb2.ObjectReference(key="books/clean/" + "0" * 64, sha256="0" * 64, size_bytes=5)
    other = store.put_bytes("books/clean", b"Another text.\n")
    changed = object_pb2.ObjectReference(key=other.key, sha256="0" * 64, size_bytes=other.size)
    for text, reason in (
        (gone, "NO_SUCH_OBJECT"),
        (changed, "CORRUPT_OBJECT"),
        (object_pb2.ObjectReference(), "BAD_REFERENCE"),
    ):
        with pytest.raises(BookmillError) as error:
            await chunk_book(peer, text)
        assert error.value.reason == reason


async def test_a_dataset_of_the_tales(peer: grpc.aio.Channel, store: Store, tmp_path: Path) -> None:
    rows, texts = [], {}
    for name in ("900001-0.txt", "900002-0.txt", "900005.txt", "900009.txt"):
        data = (TALES / name).read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
        data = data[: data.index(b"END OF")]  # the licence is the same in all of them, and no chunk is kept twice
        book = f"gutenberg:{name[:6]}"
        texts[book] = data.decode()
        made, _ = await chunk_book(peer, store.put_bytes("books/clean", data).to_proto(), 2000)
        rows.append(row(book, made.chunks))
    dataset, recorded = await build_dataset(peer, put_manifest(store, rows), 0.25)
    assert not recorded
    assert [(split.name, split.file, split.books) for split in dataset.splits] == [
        ("train", "train.parquet", 3),
        ("test", "test.parquet", 1),
    ]

    folder = tmp_path / "dataset"
    store.download_folder(Reference.from_proto(dataset.dataset), folder)
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split.name: split.rows for split in dataset.splits} == {name: len(split) for name, split in loaded.items()}
    found: dict[str, str] = {}
    for split in loaded.values():
        for one in split:
            found[one["book_id"]] = found.get(one["book_id"], "") + one["text"]
    assert found == texts

    report = json.loads(store.read(Reference.from_proto(dataset.report)))
    assert {book["id"] for book in report["books"]} == set(texts)
    assert [book["split"] for book in report["books"]].count("test") == 1

    turned, recorded = await build_dataset(peer, put_manifest(store, rows[::-1]), 0.25)
    assert (turned, recorded) == (dataset, False)
    assert await build_dataset(peer, put_manifest(store, rows), 0.25) == (dataset, True)


async def test_a_dataset_that_cannot_be(peer: grpc.aio.Channel, store: Store) -> None:
    made, _ = await chunk_book(peer, store.put_bytes("books/clean", b"One.\n").to_proto())
    one = row("upload:1", made.chunks)
    gone = row("upload:2", object_pb2.ObjectReference(key="chunks/x", sha256="0" * 64, size_bytes=5))
    wrong = row("upload:3", store.put_bytes("chunks", b"none").to_proto())
    for rows, fraction, reason in (
        ([], 0.0, "NO_CHUNKS"),
        ([one, gone], 0.0, "NO_SUCH_OBJECT"),
        ([one, wrong], 0.0, "BAD_MANIFEST"),
        ([one, one], 0.0, "BAD_MANIFEST"),
        ([one], 0.6, "BAD_FRACTION"),
        ([one], float("nan"), "BAD_FRACTION"),
        ([one], -0.1, "BAD_FRACTION"),
    ):
        with pytest.raises(BookmillError) as error:
            await build_dataset(peer, put_manifest(store, rows), fraction)
        assert error.value.reason == reason, (rows, fraction)


async def test_probes_are_answered_while_a_book_is_chunked(peer: grpc.aio.Channel, store: Store) -> None:
    text = store.put_bytes("books/clean", b"He went. She came. " * 20_000).to_proto()
    chunking = asyncio.create_task(chunk_book(peer, text))
    health = health_pb2_grpc.HealthStub(peer)
    answers = 0
    while not chunking.done():
        await health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=1)
        answers += 1
    assert (await chunking)[0].chunk_count > 50
    assert answers > 100
