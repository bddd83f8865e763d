"""The program that `helm test` runs, against a real gateway that asks for its token."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.cli.ports import free_ports
from services.common.errors import NotFound
from services.common.storage import Store
from tests.support.gateways import TEXTS, GatewayProcess
from tests.support.services import Services

PROGRAM = Path(__file__).resolve().parents[3] / "charts" / "bookmill" / "files" / "helm_test.py"
TOKEN = "a-token-of-more-than-enough-letters-0123456789"


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    async with Services(store, dict(TEXTS)) as running:
        yield running


@pytest.fixture
def environment(services: Services, store_environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the pod is told, of a gateway that runs."""
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")
    grpc_port, http_port = free_ports(2)
    own = {**store_environment, **services.environment(), "BOOKMILL_GATEWAY_TOKEN_FILE": str(token)}
    process = GatewayProcess(own, tmp_path / "log", grpc_port, http_port)
    yield {
        "SERVICES": ",".join(f"127.0.0.1:{port}" for port in (*services.ports.values(), grpc_port)),
        "GATEWAY": f"http://127.0.0.1:{http_port}",
        "TOKEN_FILE": str(token),
        "BASE_MODEL": "",
        "TOPIC": "",
        "MAX_BOOKS": "2",
        "TIMEOUT_SECONDS": "60",
    }
    process.terminate()


async def run(environment: dict[str, str], **changed: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        env={**os.environ, **environment, **changed},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_it_calls_everybody_and_has_a_run_checked(environment: dict[str, str]) -> None:
    code, said = await run(environment)
    assert code == 0, said
    assert said.count("is serving") == 6
    assert "the gateway asks for its token" in said
    assert "the gateway checked a run" in said
    assert TOKEN not in said


async def test_it_makes_a_small_run_and_removes_it(environment: dict[str, str], store: Store) -> None:
    code, said = await run(environment, BASE_MODEL="hf:example/tiny", TOPIC="horror")
    assert code == 0, said
    assert "succeeded" in said
    assert not list(store.list("runs/"))


async def test_it_fails_where_a_run_fails(environment: dict[str, str], services: Services) -> None:
    services.faults.raises["FetchModel"] = NotFound("NO_SUCH_MODEL", "there is no model 'example/tiny'")
    code, said = await run(environment, BASE_MODEL="hf:example/tiny", TOPIC="horror")
    assert code == 1
    assert "ended as STATE_FAILED" in said
    assert "NO_SUCH_MODEL" in said


async def test_it_fails_without_the_right_token(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text(TOKEN[::-1], encoding="utf-8")
    code, said = await run(environment, TOKEN_FILE=str(tmp_path / "other"))
    assert code == 1
    assert "401" in said


async def test_it_fails_where_a_service_does_not_answer(environment: dict[str, str]) -> None:
    nobody = free_ports(1)[0]
    code, said = await run(environment, SERVICES=f"127.0.0.1:{nobody}", TIMEOUT_SECONDS="2")
    assert code == 1
    assert f"127.0.0.1:{nobody} does not answer" in said


async def test_it_fails_where_the_gateway_asks_for_no_token(
    environment: dict[str, str], services: Services, store_environment: dict[str, str], tmp_path: Path
) -> None:
    grpc_port, http_port = free_ports(2)
    process = GatewayProcess(
        {**store_environment, **services.environment()}, tmp_path / "open-log", grpc_port, http_port
    )
    try:
        code, said = await run(environment, SERVICES=f"127.0.0.1:{grpc_port}", GATEWAY=f"http://127.0.0.1:{http_port}")
    finally:
        process.terminate()
    assert code == 1
    assert "answered a call without a token with 200, not 401" in said
