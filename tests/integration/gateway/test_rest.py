"""REST over a real HTTP server."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from bookmill.v1 import run_pb2
from services.common.steps import to_json
from services.common.storage import Store
from services.gateway.operating import Gateway
from services.gateway.rest.app import create_app
from services.gateway.rest.server import serving_http
from tests.support.gateways import MODEL, TEXTS, gateway_for, until
from tests.support.services import Services

SPEC = {"topic": "horror", "base_model": MODEL, "max_books": 3}


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    async with Services(store, dict(TEXTS)) as running:
        yield running


@pytest.fixture
async def gateway(store: Store, services: Services) -> AsyncIterator[Gateway]:
    async with gateway_for(store, services, upload_limit=3_000_000) as running:
        yield running


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving_http(create_app(gateway, None), "127.0.0.1", 0, 1.0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client
        gateway.stop_watches()


async def events(http: httpx.AsyncClient, run: str, headers: dict[str, str] | None = None) -> list[tuple[str, dict]]:
    """Reads a run's events to their end: each with its id."""
    found, name = [], ""
    async with http.stream("GET", f"/v1/runs/{run}/events", headers=headers) as response:
        if response.status_code == 204:
            return []
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("id: "):
                name = line[4:]
            if line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
    return found


async def finished(http: httpx.AsyncClient, **spec: object) -> dict:
    response = await http.post("/v1/runs", json={"spec": {**SPEC, **spec}})
    assert response.status_code == 200, response.text
    return (await events(http, response.json()["name"].removeprefix("runs/")))[-1][1]


async def test_a_run_from_its_start_to_its_files(http: httpx.AsyncClient) -> None:
    run = await finished(http)
    assert run["state"] == "STATE_SUCCEEDED"
    id_ = run["name"].removeprefix("runs/")
    assert (await http.get(f"/v1/runs/{id_}")).json() == run
    listed = (await http.get("/v1/runs", params={"page_size": 1})).json()
    assert [r["name"] for r in listed["runs"]] == [run["name"]]
    files = (await http.get(f"/v1/runs/{id_}/files")).json()["files"]
    for file in files:
        data = (await http.get(f"/v1/runs/{id_}/files/{file['name']}")).content
        assert (hashlib.sha256(data).hexdigest(), str(len(data))) == (file["sha256"], file["size_bytes"])
    summary = (await http.get(f"/v1/runs/{id_}/files/summary.json")).json()
    assert summary["verified"]
    page = await http.get(f"/v1/runs/{id_}/files/report.html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert "horror" in page.text
    assert (await http.delete(f"/v1/runs/{id_}")).json() == {}
    assert (await http.get(f"/v1/runs/{id_}")).status_code == 404


async def test_events_show_progress_and_can_be_taken_up(http: httpx.AsyncClient, services: Services) -> None:
    gate = services.faults.gates["train_model:step"] = asyncio.Event()
    run = (await http.post("/v1/runs", json={"spec": SPEC})).json()["name"].removeprefix("runs/")
    await until(lambda: services.faults.calls["train_model:step"])
    gate.set()
    seen = await events(http, run)
    assert seen[0][1]["state"] == "STATE_RUNNING"
    assert seen[-1][1]["state"] == "STATE_SUCCEEDED"
    assert len({name for name, _ in seen}) == len(seen)
    # A browser that comes back is told nothing that it has seen.
    assert await events(http, run, {"Last-Event-ID": seen[-1][0]}) == []
    assert [name for name, _ in await events(http, run, {"Last-Event-ID": "other"})] == [seen[-1][0]]


async def test_events_end_when_the_gateway_stops(http: httpx.AsyncClient, services: Services, gateway: Gateway) -> None:
    services.faults.gates["train_model:step"] = asyncio.Event()
    run = (await http.post("/v1/runs", json={"spec": SPEC})).json()["name"].removeprefix("runs/")
    await until(lambda: services.faults.calls["train_model:step"])
    reading = asyncio.create_task(events(http, run))
    await asyncio.wait((reading,), timeout=0.3)
    gateway.stop_watches()
    async with asyncio.timeout(5):
        assert (await reading)[-1][1]["state"] == "STATE_RUNNING"


async def test_cancelling(http: httpx.AsyncClient, services: Services) -> None:
    services.faults.gates["train_model:step"] = asyncio.Event()
    run = (await http.post("/v1/runs", json={"spec": SPEC})).json()["name"].removeprefix("runs/")
    await until(lambda: services.faults.calls["train_model:step"])
    assert (await http.delete(f"/v1/runs/{run}")).status_code == 409
    assert (await http.post(f"/v1/runs/{run}:cancel")).json()["state"] == "STATE_CANCELLING"
    assert (await events(http, run))[-1][1]["state"] == "STATE_CANCELLED"


BYTES = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(BYTES).hexdigest()


async def test_an_upload_is_streamed_verified_and_named_by_its_content(http: httpx.AsyncClient, store: Store) -> None:
    async def blocks() -> AsyncIterator[bytes]:  # of unknown length: chunked transfer
        for start in range(0, len(BYTES), 70_000):
            yield BYTES[start : start + 70_000]

    assert (await http.head(f"/v1/uploads/{SHA256}")).status_code == 404
    response = await http.put(f"/v1/uploads/{SHA256}", content=blocks())
    assert (response.status_code, response.json()["uri"]) == (201, f"upload:{SHA256}")
    assert b"".join(store.stream(f"uploads/{SHA256}")) == BYTES
    assert (await http.head(f"/v1/uploads/{SHA256}")).status_code == 200
    again = await http.put(f"/v1/uploads/{SHA256}", content=BYTES)
    assert (again.status_code, again.json()) == (200, response.json())


@pytest.mark.parametrize(
    ("sha256", "content", "status", "reason"),
    [
        ("a" * 64, BYTES, 400, "DIGEST_MISMATCH"),
        ("A" * 64, BYTES, 400, "BAD_SHA256"),
        ("..%2f..%2fx", BYTES, 404, "NO_SUCH_PATH"),
        (hashlib.sha256(b"x" * 3_000_001).hexdigest(), b"x" * 3_000_001, 413, "UPLOAD_TOO_LARGE"),
    ],
)
async def test_bad_uploads(
    http: httpx.AsyncClient, store: Store, sha256: str, content: bytes, status: int, reason: str
) -> None:
    response = await http.put(f"/v1/uploads/{sha256}", content=content)
    assert (response.status_code, response.json()["error"]["reason"]) == (status, reason)
    assert list(store.list("uploads/")) == []


async def test_an_upload_of_unknown_length_ends_at_the_limit(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    try:
        response = await http.put(f"/v1/uploads/{'b' * 64}", content=endless())
    except httpx.WriteError:
        return  # the server hung up before all was sent, which says the same
    assert response.status_code == 413


async def test_a_run_of_uploaded_texts(http: httpx.AsyncClient, services: Services) -> None:
    text = b"A tale of my own. " * 50
    sha256 = hashlib.sha256(text).hexdigest()
    assert (await http.put(f"/v1/uploads/{sha256}", content=text)).status_code == 201
    services.texts[f"upload:{sha256}"] = text.decode()
    run = await finished(http, topic="", max_books=0, books=[{"uri": f"upload:{sha256}", "title": "Mine"}])
    assert run["state"] == "STATE_SUCCEEDED"


async def test_ranges(http: httpx.AsyncClient) -> None:
    run = await finished(http)
    url = f"/v1/{run['name']}/files/horror.q4_k_m.gguf"
    whole = await http.get(url)
    size, etag = len(whole.content), whole.headers["etag"]
    assert etag == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    cases = [
        ("bytes=0-9", 206, whole.content[:10], f"bytes 0-9/{size}"),
        ("bytes=100-", 206, whole.content[100:], f"bytes 100-{size - 1}/{size}"),
        ("bytes=-7", 206, whole.content[-7:], f"bytes {size - 7}-{size - 1}/{size}"),
        (f"bytes=5-{size + 100}", 206, whole.content[5:], f"bytes 5-{size - 1}/{size}"),
        ("lines=1-2", 200, whole.content, None),
        ("bytes=9-3", 200, whole.content, None),
        ("bytes=0-1,5-6", 200, whole.content, None),
    ]
    for header, status, content, told in cases:
        part = await http.get(url, headers={"Range": header})
        assert (part.status_code, part.content, part.headers.get("content-range")) == (status, content, told), header
    beyond = await http.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (await http.get(url, headers={"If-None-Match": etag})).status_code == 304
    stale = await http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert stale.status_code == 200
    head = await http.head(url)
    assert (head.headers["content-length"], head.content) == (str(size), b"")


async def test_a_file_that_was_changed_in_the_store_is_never_complete(http: httpx.AsyncClient, store: Store) -> None:
    run = await finished(http)
    file = next(f for f in run["files"] if f["name"] == "Modelfile")["file"]
    data = bytearray(b"".join(store.stream(file["key"])))
    data[0] ^= 1
    store.delete(file["key"])
    _overwrite(store, file["key"], bytes(data))
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(f"/v1/{run['name']}/files/Modelfile")


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "reason"),
    [
        ("GET", "/v1/runs/nope", {}, 404, "NO_SUCH_RUN"),
        ("GET", "/v1/runs/nope/events", {}, 404, "NO_SUCH_RUN"),
        ("GET", "/v1/runs/nope/files/x", {}, 404, "NO_SUCH_RUN"),
        ("POST", "/v1/runs/nope:cancel", {}, 404, "NO_SUCH_RUN"),
        ("GET", "/v1/nothing", {}, 404, "NO_SUCH_PATH"),
        ("PATCH", "/v1/runs", {}, 405, "BAD_REQUEST"),
        ("GET", "/v1/runs?page_size=x", {}, 400, "BAD_PARAMETER"),
        ("GET", "/v1/runs?page_size=1000", {}, 400, "BAD_PAGE_SIZE"),
        ("POST", "/v1/runs", {"json": {"spec": {}}}, 400, "NO_BOOKS_NAMED"),
        ("POST", "/v1/runs", {"json": {"spec": {"topik": "x"}}}, 400, "BAD_BODY"),
        ("POST", "/v1/runs", {"json": {"spec": {**SPEC, "max_books": -1}}}, 400, "BAD_LIMIT"),
        ("POST", "/v1/runs", {"json": {"spec": {**SPEC, "quantizations": ["q5"]}}}, 400, "BAD_QUANTISATION"),
        ("POST", "/v1/runs", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "NOT_JSON"),
        ("POST", "/v1/runs", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "BAD_BODY"),
        ("POST", "/v1/runs", {"json": {"x": "y" * 100_000}}, 413, "BODY_TOO_LARGE"),
        ("POST", "/v1/prune", {"json": {"minimum_age_seconds": -5}}, 400, "BAD_AGE"),
        ("POST", "/v1/runs", {"json": {}, "headers": {"Origin": "https://evil.example"}}, 403, "CROSS_ORIGIN"),
        ("GET", "/v1/runs", {"headers": {"Host": "evil.example"}}, 421, "HOST_NOT_ALLOWED"),
    ],
)
async def test_errors_have_one_form(
    http: httpx.AsyncClient, method: str, path: str, options: dict, status: int, reason: str
) -> None:
    response = await http.request(method, path, **options)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["reason"]) == (status, status, reason)
    assert error["message"]
    assert set(error) == {"code", "status", "reason", "message", "details"}


async def test_a_page_of_its_own_may_post(http: httpx.AsyncClient) -> None:
    headers = {"Origin": str(http.base_url).rstrip("/")}
    assert (await http.post("/v1/prune", json={"dry_run": True}, headers=headers)).status_code == 200


async def test_known_models(http: httpx.AsyncClient) -> None:
    run = await finished(http)
    known = (await http.get("/v1/models")).json()
    assert [m["resolved_uri"] for m in known["base_models"]] == [f"hf:example/tiny@{'c' * 40}"]
    assert known["base_models"][0]["asked_as"] == [MODEL]
    assert [(m["name"], m["run"]) for m in known["models"]] == [("horror", run["name"])]
    assert [f["quantization"] for f in known["models"][0]["files"]] == ["q4_k_m"]


async def test_an_estimate_is_the_train_services(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/estimates", json={"spec": {}})).json() == {"tokens": "1000", "steps": "4"}


async def test_probes_and_pages(http: httpx.AsyncClient, services: Services) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json() == {"status": "ok", "unreachable": []}
    for path in ("/", "/docs"):
        page = await http.get(path)
        assert page.status_code == 200
        parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert not [part for part in parts if re.match(r"(https?:)?//", part)], "nothing is loaded from elsewhere"
        for part in (p for p in parts if p.startswith("/web/")):
            assert (await http.get(part)).status_code == 200
    document = (await http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert schemas["RunSpec"]["properties"]["books"]["items"] == {"$ref": "#/components/schemas/Book"}
    assert set(to_json(run_pb2.RunSpec(topic="x", base_model="y"))) <= set(schemas["RunSpec"]["properties"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
    referred = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {part.split('"')[0] for part in referred} <= set(schemas)


def _overwrite(store: Store, key: str, data: bytes) -> None:
    import io

    store._client.put_object(bucket_name=store._bucket, object_name=key, data=io.BytesIO(data), length=len(data))
