"""The gateway's REST as the command uses it."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from services.common.errors import ERRORS, BookmillError, Corrupt, Internal, Unauthenticated, Unavailable
from services.common.writing import replacing

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=5.0)  # the answer to an upload waits for the store
_EVENT_TIMEOUT = httpx.Timeout(60.0, connect=5.0)  # the gateway sends a heartbeat more often
_BLOCK = 1 << 20

FINAL_STATES = ("STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED")
"""States that a run stays in."""


class Client:
    """A connection to a gateway. A context manager, for who does not end with it.

    Args:
        server: its address, `http://127.0.0.1:8080`.
        token: what it asks for; empty for none.

    Every method raises the `BookmillError` that the gateway answers with, and `Unavailable`
    `SERVER_UNREACHABLE` when it does not answer.
    """

    def __init__(self, server: str, token: str = "") -> None:
        self._server = server
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=server, timeout=_TIMEOUT, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_up(self) -> bool:
        """Says whether a gateway answers there."""
        try:
            return self._http.get("/healthz", timeout=2.0).status_code == 200
        except httpx.HTTPError:
            return False

    def create_run(self, spec: dict[str, Any], request_id: str = "", validate_only: bool = False) -> dict[str, Any]:
        """Starts a run."""
        body = {"spec": spec, "request_id": request_id, "validate_only": validate_only}
        return self._json("POST", "/v1/runs", json=body)

    def run(self, run: str) -> dict[str, Any]:
        """Looks at a run."""
        return self._json("GET", f"/v1/runs/{quote(run)}")

    def runs(self, page_size: int = 20, page_token: str = "") -> dict[str, Any]:
        """Lists runs, newest first."""
        return self._json("GET", "/v1/runs", params={"page_size": page_size, "page_token": page_token})

    def cancel(self, run: str) -> dict[str, Any]:
        """Stops a run."""
        return self._json("POST", f"/v1/runs/{quote(run)}:cancel")

    def delete(self, run: str) -> None:
        """Deletes a run that is final."""
        self._send("DELETE", f"/v1/runs/{quote(run)}")

    def models(self) -> dict[str, Any]:
        """Lists the base models in the store and the finished models of runs."""
        return self._json("GET", "/v1/models")

    def prune(self, minimum_age_seconds: int, dry_run: bool) -> dict[str, Any]:
        """Removes what no run refers to."""
        body = {"minimum_age_seconds": str(minimum_age_seconds), "dry_run": dry_run}
        return self._json("POST", "/v1/prune", json=body, timeout=_UPLOAD_TIMEOUT)

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """Gives the run whenever it changes, until it is final. A connection that breaks is opened anew."""
        breaks = 0
        while True:
            try:
                for state in self._events(run):
                    breaks = 0
                    yield state
                    if state.get("state") in FINAL_STATES:
                        return
            except Unavailable:
                breaks += 1
                if breaks > 30:
                    raise
            # A gateway that restarts is back within seconds; the first look after it tells the state.
            time.sleep(min(2.0, 0.2 * (breaks + 1)))

    def upload_bytes(self, data: bytes) -> str:
        """Puts bytes into the store.

        Returns:
            Their SHA-256.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        self._json("PUT", f"/v1/uploads/{sha256}", content=data, timeout=_UPLOAD_TIMEOUT)
        return sha256

    def file(self, run: str, name: str) -> bytes:
        """Reads one small file of a run's results."""
        response = self._send("GET", f"/v1/runs/{quote(run)}/files/{quote(name)}")
        return response.content

    def download(self, run: str, name: str, sha256: str, path: Path) -> Iterator[int]:
        """Streams one file of a run's results to disk, where it appears when it is whole and verified.

        Yields:
            The size of each block as it is written, for a progress display.

        Raises:
            Corrupt: `CORRUPT_DOWNLOAD`.
        """
        seen = hashlib.sha256()
        url = f"/v1/runs/{quote(run)}/files/{quote(name)}"
        with replacing(path) as file:
            try:
                with self._http.stream("GET", url, timeout=_UPLOAD_TIMEOUT) as response:
                    if response.is_error:
                        response.read()
                        raise _error(response)
                    for block in response.iter_bytes(_BLOCK):
                        seen.update(block)
                        file.write(block)
                        yield len(block)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            if seen.hexdigest() != sha256:
                raise Corrupt("CORRUPT_DOWNLOAD", f"{name} is not what its SHA-256 says; download it again")

    def _events(self, run: str) -> Iterator[dict[str, Any]]:
        try:
            with self._http.stream("GET", f"/v1/runs/{quote(run)}/events", timeout=_EVENT_TIMEOUT) as response:
                if response.is_error:
                    response.read()
                    raise _error(response)
                for line in response.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        answer = self._send(method, url, **options).json()
        if not isinstance(answer, dict):
            raise Internal("BAD_ANSWER", f"{self._server}{url} answered with something else than a gateway does")
        return answer

    def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, url, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _error(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        message = f"no gateway answers at {self._server} ({type(error).__name__}); start one with `bookmill up`"
        return Unavailable("SERVER_UNREACHABLE", message)


def _error(response: httpx.Response) -> BookmillError:
    try:
        told = response.json()["error"]
        kind = next((e for e in ERRORS if e.code.name == told["status"]), Internal)
        message = told["message"]
        if kind is Unauthenticated:
            message += "; name a file that holds it with --token-file, or set BOOKMILL_TOKEN_FILE or BOOKMILL_TOKEN"
        details = {k: str(v) for k, v in (told.get("details") or {}).items() if k not in {"reason", "message"}}
        return kind(told["reason"], message, **details)
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"{response.request.url} answered {response.status_code}: {response.text[:200]!r}"
        return Internal("BAD_ANSWER", message)
