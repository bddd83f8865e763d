"""A gateway that asks for a token: over REST, over gRPC, and of the command."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from bookmill.v1 import run_pb2, run_pb2_grpc
from services.cli.ports import free_ports
from services.common.clients import from_status
from services.common.server import serving
from services.common.settings import ServerSettings
from services.common.storage import Store
from services.gateway.bearer import Bearer
from services.gateway.grpc_guard import TokenInterceptor
from services.gateway.operating import Gateway
from services.gateway.rest.app import create_app
from services.gateway.rest.server import serving_http
from services.gateway.servicer import RunServicer
from tests.support.gateways import MODEL, TEXTS, GatewayProcess, gateway_for, until
from tests.support.services import Services

TOKEN = "a-token-of-enough-letters"
OWN = {"Authorization": f"Bearer {TOKEN}"}
WRONG = {"Authorization": "Bearer another-token-of-letters"}
SPEC = {"topic": "horror", "base_model": MODEL, "max_books": 2}
TEXT = b"A tale of my own. " * 50
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Gateway]:
    async with Services(store, dict(TEXTS)) as services, gateway_for(store, services) as running:
        yield running


@pytest.fixture
async def http(gateway: Gateway, file: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends no token by itself."""
    async with (
        serving_http(create_app(gateway, Bearer(file)), "127.0.0.1", 0, 1.0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client
        gateway.stop_watches()


async def finished(http: httpx.AsyncClient) -> dict:
    run = (await http.post("/v1/runs", json={"spec": SPEC}, headers=OWN)).json()
    last: dict = {}
    async with http.stream("GET", f"/v1/{run['name']}/events", headers=OWN) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                last = json.loads(line[6:])
    assert last["state"] == "STATE_SUCCEEDED"
    return last


@pytest.mark.parametrize(
    ("headers", "reason", "challenge"),
    [
        ({}, "NO_TOKEN", 'Bearer realm="bookmill"'),
        ({"Authorization": "Basic dTpw"}, "NO_TOKEN", 'Bearer realm="bookmill"'),
        (WRONG, "BAD_TOKEN", 'Bearer realm="bookmill", error="invalid_token"'),
    ],
)
async def test_nothing_but_probes_and_pages_is_answered_without_it(
    http: httpx.AsyncClient, store: Store, headers: dict[str, str], reason: str, challenge: str
) -> None:
    run = (await finished(http))["name"]
    document = (await http.get("/openapi.json", headers=OWN)).json()
    values = {"{run}": run.removeprefix("runs/"), "{name}": "summary.json", "{sha256}": SHA256}
    paths = [
        ("GET", "/openapi.json"),
        ("GET", "/v1/nothing"),
        ("GET", "/nothing"),
        ("GET", "/v1/"),
        ("GET", "/healthz/"),
    ]
    for path, methods in document["paths"].items():
        for name, value in values.items():
            path = path.replace(name, value)
        paths += [(method.upper(), path) for method in methods]
    paths += [("HEAD", path) for method, path in paths if method == "GET"]
    asked = [pair for pair in paths if pair[1] not in {"/healthz", "/readyz"}]
    assert len(asked) > 25
    for method, path in asked:
        response = await http.request(method, path, headers=headers, content=TEXT if method == "PUT" else None)
        assert response.status_code == 401, (method, path)
        assert response.headers["www-authenticate"] == challenge
        if method != "HEAD":
            error = response.json()["error"]
            assert (error["code"], error["status"], error["reason"]) == (401, "UNAUTHENTICATED", reason)
            assert TOKEN not in response.text
    assert list(store.list("uploads/")) == []
    assert (await http.get(f"/v1/{run}", headers=OWN)).status_code == 200, "nor deleted"
    for path in (
        "/healthz",
        "/readyz",
        "/",
        "/docs",
        "/web/runs.js",
        "/web/gateway.js",
        "/web/docs.js",
        "/web/runs.css",
    ):
        assert (await http.get(path, headers=headers)).status_code == 200, path


async def test_with_it_all_is_as_without_a_token(http: httpx.AsyncClient) -> None:
    run = await finished(http)
    put = await http.put(f"/v1/uploads/{SHA256}", content=TEXT, headers=OWN)
    assert (put.status_code, put.json()["uri"]) == (201, f"upload:{SHA256}")
    url = f"/v1/{run['name']}/files/horror.q4_k_m.gguf"
    whole = await http.get(url, headers=OWN)
    part = await http.get(url, headers=OWN | {"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (await http.get(url, headers={"Range": "bytes=10-19"})).status_code == 401
    assert (await http.get("/v1/runs", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200
    assert (await http.get("/v1/nothing", headers=OWN)).status_code == 404


async def test_a_link_opens_one_file_to_reading(http: httpx.AsyncClient, gateway: Gateway) -> None:
    run = await finished(http)
    links = f"/v1/{run['name']}/links"
    url = (await http.post(f"{links}/horror.q4_k_m.gguf", headers=OWN)).json()["url"]
    assert TOKEN not in url
    whole = await http.get(url)
    size = next(int(f["file"]["size_bytes"]) for f in run["files"] if f["name"] == "horror.q4_k_m.gguf")
    assert (whole.status_code, len(whole.content)) == (200, size)
    part = await http.get(url, headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, whole.content[:5])
    assert (await http.head(url)).status_code == 200
    query = url.partition("?")[2]
    for method, other in [
        ("GET", f"/v1/{run['name']}/files/summary.json?{query}"),
        ("GET", f"/v1/{run['name']}?{query}"),
        ("DELETE", url),
        ("POST", url),
    ]:
        response = await http.request(method, other)
        assert response.status_code == 401, (method, other)
    assert (await http.get(url, headers=WRONG)).json()["error"]["reason"] == "BAD_TOKEN"
    changed = await http.get(url.replace("signature=", "signature=x"))
    assert (changed.status_code, changed.json()["error"]["reason"]) == (401, "BAD_LINK")
    missing = await http.post(f"{links}/none.gguf", headers=OWN)
    assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "NO_SUCH_FILE")
    # Where no token is asked for, a link is the file's own address.
    async with (
        serving_http(create_app(gateway, None), "127.0.0.1", 0, 1.0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as without,
    ):
        plain = (await without.post(f"{links}/horror.q4_k_m.gguf")).json()["url"]
        assert plain == f"/v1/{run['name']}/files/horror.q4_k_m.gguf"
        assert (await without.get("/openapi.json")).json()["security"] == [{"token": []}, {}]


async def test_a_rotated_token_is_taken_at_once(http: httpx.AsyncClient, file: Path) -> None:
    run = await finished(http)
    url = (await http.post(f"/v1/{run['name']}/links/summary.json", headers=OWN)).json()["url"]
    new = file.with_name("new")
    new.write_text("another-token-of-letters")
    new.replace(file)
    assert (await http.get("/v1/runs", headers=OWN)).status_code == 401
    assert (await http.get("/v1/runs", headers=WRONG)).status_code == 200
    assert (await http.get(url)).json()["error"]["reason"] == "BAD_LINK"


async def test_the_document_says_so(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json", headers=OWN)).json()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"token": []}]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation.get("security") == ([] if path in {"/healthz", "/readyz"} else None), path


@pytest.fixture
async def channel(gateway: Gateway, file: Path) -> AsyncIterator[grpc.aio.Channel]:
    register = partial(run_pb2_grpc.add_RunServiceServicer_to_server, RunServicer(gateway))
    settings = ServerSettings(port=0, drain_seconds=0, not_serving_seconds=0)
    interceptors = (TokenInterceptor(Bearer(file)),)
    async with (
        serving(settings, register, ("bookmill.v1.RunService",), interceptors) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        yield opened
        gateway.stop_watches()


RIGHT_METADATA = (("authorization", f"Bearer {TOKEN}"),)
BAD_METADATA = [
    ((), "NO_TOKEN"),
    ((("authorization", TOKEN),), "NO_TOKEN"),
    ((("authorization", WRONG["Authorization"]),), "BAD_TOKEN"),
]


@pytest.mark.parametrize(("metadata", "reason"), BAD_METADATA)
async def test_no_method_is_answered_without_it(channel: grpc.aio.Channel, metadata: tuple, reason: str) -> None:
    stub = run_pb2_grpc.RunServiceStub(channel)
    methods = run_pb2.DESCRIPTOR.services_by_name["RunService"].methods
    for method in methods:
        request = getattr(run_pb2, method.input_type.name)()
        answered = getattr(stub, method.name)(request, metadata=metadata, timeout=30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [r async for r in answered] if method.server_streaming else await answered
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED, method.name
        assert from_status(caught.value).reason == reason


async def test_with_it_both_kinds_of_method_are(channel: grpc.aio.Channel) -> None:
    stub = run_pb2_grpc.RunServiceStub(channel)
    spec = run_pb2.RunSpec(topic="horror", base_model=MODEL, max_books=2)
    run = await stub.CreateRun(run_pb2.CreateRunRequest(spec=spec), metadata=RIGHT_METADATA, timeout=30)
    watch = stub.WatchRun(run_pb2.WatchRunRequest(name=run.name), metadata=RIGHT_METADATA, timeout=60)
    assert [r async for r in watch][-1].name == run.name


async def _services(channel: grpc.aio.Channel, metadata: tuple) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter((request,)), metadata=metadata, timeout=30)
    return {s.name async for answer in call for s in answer.list_services_response.service}


@pytest.mark.parametrize(("metadata", "reason"), BAD_METADATA)
async def test_health_alone_is_open(channel: grpc.aio.Channel, metadata: tuple, reason: str) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "bookmill.v1.RunService"):
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await health.Check(request, metadata=metadata, timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    async for answer in health.Watch(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=30):
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        break
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _services(channel, metadata)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(caught.value).details[0].Unpack(info)
    assert info.reason == reason
    assert "bookmill.v1.RunService" in await _services(channel, RIGHT_METADATA)


async def _bookmill(*arguments: str, **environment: str) -> tuple[int, str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BOOKMILL_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        *arguments,
        env={**clean, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_brings_it(http: httpx.AsyncClient, file: Path, tmp_path: Path) -> None:
    run = (await finished(http))["name"]
    server = str(http.base_url)
    code, out, err = await _bookmill("runs", "--json", "--server", server)
    assert (code, out) == (4, "")
    for said in ("NO_TOKEN", "--token-file", "BOOKMILL_TOKEN"):
        assert said in err
    code, _, err = await _bookmill("show", run, "--server", server, BOOKMILL_TOKEN="another-token-of-letters")
    assert code == 4
    assert "BAD_TOKEN" in err
    assert "another-token-of-letters" not in err
    folder = tmp_path / "results"
    code, _, err = await _bookmill(
        "download", run, "--output", str(folder), "--server", server, BOOKMILL_TOKEN_FILE=str(file)
    )
    assert code == 0, err
    assert (folder / "summary.json").is_file()
    # What is made with a token: a run with its upload, followed to its end.
    text = tmp_path / "tale.txt"
    text.write_bytes(TEXT)
    arguments = ("--from", str(text), "--base-model", MODEL, "--server", server, "--token-file", str(file), "--detach")
    code, out, err = await _bookmill("run", *arguments)
    assert code == 0, err
    code, out, _ = await _bookmill("runs", "--json", "--server", server, BOOKMILL_TOKEN=TOKEN)
    assert code == 0
    assert len(json.loads(out)) == 2
    code, _, err = await _bookmill("runs", "--server", server, "--token-file", str(tmp_path / "none"))
    assert code == 2
    assert "token-file" in err


async def test_the_program_reads_the_file_and_starts_nowhere_open(
    store_environment: dict[str, str], store: Store, file: Path, tmp_path: Path
) -> None:
    async with Services(store, dict(TEXTS)) as services:
        environment = {**store_environment, **services.environment(), "BOOKMILL_HOST": "0.0.0.0"}
        log = tmp_path / "gateway.log"
        refused = GatewayProcess(environment, log, *free_ports(2))
        assert await asyncio.to_thread(refused.process.wait, 30) == 2
        assert "setting BOOKMILL_GATEWAY_TOKEN_FILE: missing" in log.read_text()
        grpc_port, http_port = free_ports(2)
        allowed = GatewayProcess({**environment, "BOOKMILL_GATEWAY_TOKEN_FILE": str(file)}, log, grpc_port, http_port)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}") as http:

                async def up() -> bool:
                    try:
                        return (await http.get("/healthz")).status_code == 200
                    except httpx.TransportError:
                        return False

                await until(up)
                assert (await http.get("/v1/runs")).status_code == 401
                assert (await http.get("/v1/runs", headers=OWN)).status_code == 200
            async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
                stub = run_pb2_grpc.RunServiceStub(channel)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.ListRuns(run_pb2.ListRunsRequest(), timeout=30, wait_for_ready=True)
                assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
                await stub.ListRuns(run_pb2.ListRunsRequest(), metadata=RIGHT_METADATA, timeout=30)
        finally:
            assert await asyncio.to_thread(allowed.terminate) == 0
        assert TOKEN not in log.read_text(), "no log tells it"
