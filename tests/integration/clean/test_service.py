"""The clean service on a real gRPC server and a real store."""

import json
from collections.abc import AsyncIterator
from io import BytesIO

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bookmill.v1 import clean_pb2, clean_pb2_grpc, object_pb2
from services.clean.__main__ import SERVICE
from services.clean.cleaning import Options, clean
from services.clean.servicer import CLEAN_BOOK, CleanServicer
from services.common.clients import call, channel
from services.common.errors import BookmillError, Corrupt, InvalidInput, NotFound, Refused
from services.common.objects import Reference
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.storage import Store
from services.common.workers import Workers
from tests.support.gutenberg import BODY, LICENCE, framed

BOOK = framed(BODY)


@pytest.fixture
async def address(store: Store) -> AsyncIterator[str]:
    workers = Workers(1)
    servicer = CleanServicer(store, workers, Options())
    settings = ServerSettings(port=0, drain_seconds=0.1, not_serving_seconds=0)
    try:
        async with serving(
            settings, lambda s: clean_pb2_grpc.add_CleanServiceServicer_to_server(servicer, s), (SERVICE,)
        ) as port:
            yield f"127.0.0.1:{port}"
    finally:
        workers.close()


async def clean_book(address: str, text: object_pb2.ObjectReference) -> tuple[clean_pb2.CleanBookResponse, bool]:
    async with channel(address) as connection:
        stub = clean_pb2_grpc.CleanServiceStub(connection)
        request = clean_pb2.CleanBookRequest(text=text, request_id="test")
        return await call(stub.CleanBook, request, clean_pb2.CleanBookResponse, timeout=60)


async def test_a_book_is_cleaned_stored_and_recorded(store: Store, address: str) -> None:
    raw = store.put_bytes("books/raw", BOOK.encode()).to_proto()
    response, recorded = await clean_book(address, raw)
    expected = clean(BOOK)
    assert not recorded
    assert store.read(Reference.from_proto(response.text)).decode() == expected.text
    assert response.text.key == f"books/clean/{response.text.sha256}"
    assert (response.characters_in, response.characters_out) == (len(BOOK), len(expected.text))
    assert {c.name: c.value for c in response.removed} == {r.name: r.characters for r in expected.report.rules}
    assert (response.author, response.language, response.residue) == ("Ann Harrow", "English", 0.0)
    report = json.loads(store.read(Reference.from_proto(response.report)))
    assert report == json.loads(json.dumps(expected.report.to_json()))

    again, recorded = await clean_book(address, raw)
    assert recorded
    assert again == response
    assert store.get_record(CLEAN_BOOK.record_key(CLEAN_BOOK.key(clean_pb2.CleanBookRequest(text=raw)))) is not None


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"", Refused, "EMPTY"),
        (LICENCE.encode(), Refused, "ONLY_LICENCE"),
        (bytes(range(256)) * 8, Refused, "BINARY"),
        (b"A short tale.", Refused, "TOO_SHORT"),
    ],
)
async def test_a_refused_book_is_an_error_with_its_reason(
    store: Store, address: str, data: bytes, kind: type[BookmillError], reason: str
) -> None:
    with pytest.raises(kind) as error:
        await clean_book(address, store.put_bytes("books/raw", data).to_proto())
    assert error.value.reason == reason
    assert not list(store.list("results/"))


async def test_a_book_that_is_too_long_is_refused_before_it_is_read(address: str) -> None:
    absent = object_pb2.ObjectReference(key="books/raw/" + "0" * 64, sha256="0" * 64, size_bytes=1 << 40)
    with pytest.raises(Refused, match="TOO_LONG"):
        await clean_book(address, absent)


async def test_references_are_checked_and_objects_verified(store: Store, address: str) -> None:
    with pytest.raises(InvalidInput, match="BAD_REFERENCE"):
        await clean_book(address, object_pb2.ObjectReference(key="/etc/passwd"))
    absent = object_pb2.ObjectReference(key="books/raw/" + "1" * 64, sha256="1" * 64, size_bytes=5)
    with pytest.raises(NotFound, match="NO_SUCH_OBJECT"):
        await clean_book(address, absent)
    changed = store.put_bytes("books/raw", BOOK.encode())
    store._client.put_object(store._bucket, changed.key, BytesIO(BOOK.upper().encode()), changed.size)
    with pytest.raises(Corrupt, match="CORRUPT_OBJECT"):
        await clean_book(address, changed.to_proto())


async def test_health_and_reflection_know_the_service(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
