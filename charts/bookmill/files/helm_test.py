"""What `helm test` runs: each service answers, and the gateway makes a small run, or checks one without making it.

It runs in the gateway's image. Exit code 1 and a line on standard error say what is wrong.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

FINAL = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"}
POLL_SECONDS = 2.0
CALL_SECONDS = 30.0
SMALL = {"max_steps": 4, "context_length": 128, "batch_size": 1, "checkpoint_steps": 4, "evaluation_tokens": 256}


class Failed(Exception):
    """Something is not as it should be."""


def main() -> int:
    """Runs the checks in order."""
    environment = os.environ
    until = time.monotonic() + float(environment["TIMEOUT_SECONDS"])
    gateway = Gateway(environment["GATEWAY"], Path(environment["TOKEN_FILE"]).read_text(encoding="utf-8").strip())
    try:
        for address in environment["SERVICES"].split(","):
            answers(address, until)
        gateway.refuses_strangers()
        if environment.get("BASE_MODEL"):
            run = gateway.small_run(environment["TOPIC"], environment["BASE_MODEL"], int(environment["MAX_BOOKS"]))
            gateway.follow(run, until)
        else:
            gateway.checks_a_run()
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say("all is well")
    return 0


def answers(address: str, until: float) -> None:
    """Asks a service for its health, and waits for it."""
    with grpc.insecure_channel(address) as channel:
        seconds = max(1.0, min(60.0, until - time.monotonic()))
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            raise Failed(f"{address} does not answer: {error.code().name} {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Failed(f"{address} is not serving")
    say(f"{address} is serving")


class Gateway:
    """The gateway's REST."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token

    def refuses_strangers(self) -> None:
        """A call without the token must not be answered."""
        status, _ = self._ask("GET", "/v1/runs", with_token=False)
        if status != 401:
            raise Failed(f"the gateway answered a call without a token with {status}, not 401")
        say("the gateway asks for its token")

    def checks_a_run(self) -> None:
        """The gateway checks a run, which shows that it knows the token."""
        spec = {"topic": "the sea", "base_model": "hf:example/model", "max_books": 1}
        self._answer("POST", "/v1/runs", {"spec": spec, "validate_only": True})
        say("the gateway checked a run")

    def small_run(self, topic: str, base_model: str, books: int) -> str:
        """Starts a run."""
        spec = {"topic": topic, "base_model": base_model, "max_books": books, "hyperparameters": SMALL}
        run = self._answer("POST", "/v1/runs", {"spec": spec, "request_id": f"helm-test-{uuid.uuid4().hex[:12]}"})
        say(f"{run['name']} has begun")
        return str(run["name"])

    def follow(self, name: str, until: float) -> None:
        """Waits for a run's end, and removes the run."""
        shown = ""
        while True:
            run = self._answer("GET", f"/v1/{name}")
            stage = next((s for s in run.get("stages", ()) if s.get("state") == "STATE_RUNNING"), {"name": "no stage"})
            if stage["name"] != shown:
                shown = stage["name"]
                say(f"{name}: {shown}")
            if run.get("state") in FINAL:
                break
            if time.monotonic() > until - CALL_SECONDS:
                raise Failed(f"{name} is not finished in time; it is at {shown}")
            time.sleep(POLL_SECONDS)
        if run["state"] != "STATE_SUCCEEDED":
            raise Failed(f"{name} ended as {run['state']}: {json.dumps(run.get('reason', {}))}")
        self._answer("DELETE", f"/v1/{name}")
        say(f"{name} succeeded")

    def _answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        status, text = self._ask(method, path, body)
        if status != 200:
            raise Failed(f"{method} {path}: {status} {text[:2000]}")
        return json.loads(text)

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, with_token: bool = True
    ) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, method=method)  # noqa: S310 (of the chart)
        request.add_header("Content-Type", "application/json")
        if with_token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as response:  # noqa: S310
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            raise Failed(f"{method} {path}: {error}") from error


def say(text: str) -> None:
    """Writes a line at once, so that it is in the log when the pod is gone."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
