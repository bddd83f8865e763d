"""Runs of the release in the cluster, over its REST, as a user with the token makes them."""

import hashlib
import json
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx

Run = dict[str, Any]

FINAL = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"}
RUN_SECONDS = 420
"""A run of the tales on a tiny model takes about a minute; on a machine that does much else, several."""
_TRANSIENT = {429, 500, 502, 503, 504}


@dataclass
class Gateway:
    """The gateway's REST."""

    address: str
    """`http://127.0.0.1:PORT`."""
    token: str
    """Empty where it asks for none."""
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._http = httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Makes one request, without another try."""
        return self._http.request(method, path, **options)

    def create(self, spec: Run, request_id: str = "", validate_only: bool = False) -> Run:
        """Starts a run."""
        body = {"spec": spec, "request_id": request_id, "validate_only": validate_only}
        response = self._http.post("/v1/runs", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def get(self, name: str) -> Run | None:
        """Looks at a run; None while the gateway does not answer."""
        try:
            response = self._http.get(f"/v1/{name}")
        except httpx.HTTPError:
            return None
        if response.status_code in _TRANSIENT:
            return None
        assert response.status_code == 200, response.text
        return dict(response.json())

    def until(self, name: str, wanted: Callable[[Run], Any], what: str, seconds: float = RUN_SECONDS) -> Run:
        """Looks at a run until it is as wanted, and gives it.

        Raises:
            AssertionError: it was not, for `seconds`, or ended before.
        """
        end = time.monotonic() + seconds
        seen: Run | None = None
        while time.monotonic() < end:
            seen = self.get(name) or seen
            if seen is not None and wanted(seen):
                return seen
            assert seen is None or seen.get("state") not in FINAL, f"{name} ended before {what}: {_short(seen)}"
            time.sleep(0.3)
        raise AssertionError(f"{name}: no {what} after {seconds} s: {_short(seen)}")

    def finished(self, name: str, seconds: float = RUN_SECONDS) -> Run:
        """Waits until a run has succeeded and gives its summary."""
        run = self.until(name, lambda run: run.get("state") in FINAL, "end", seconds)
        assert run["state"] == "STATE_SUCCEEDED", _short(run)
        return self.summary(name)

    def summary(self, name: str) -> Run:
        """Reads a run's summary."""
        response = self._http.get(f"/v1/{name}/files/summary.json")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def upload(self, data: bytes) -> str:
        """Puts bytes into the store and gives their URI."""
        sha256 = hashlib.sha256(data).hexdigest()
        response = self._http.put(f"/v1/uploads/{sha256}", content=data, timeout=120)
        assert response.status_code in {200, 201}, response.text
        return f"upload:{sha256}"

    def cancel(self, name: str) -> None:
        """Stops a run, whatever it is at."""
        with suppress(httpx.HTTPError):
            self._http.post(f"/v1/{name}:cancel")


def spec(model: str, *, seed: int, steps: int = 40, checkpoint_steps: int = 10, **more: Any) -> Run:
    """Gives what a run of the tales asks for; small, so that it takes a minute on a busy machine.

    Args:
        model: the base model's URI.
        seed: of the training; another one makes another adapter.
        steps: of the training.
        checkpoint_steps: between its checkpoints.
        more: further fields of the spec; hyper-parameters are added to those here.
    """
    hyperparameters = {
        "context_length": 128,
        "batch_size": 2,
        "gradient_accumulation": 1,
        "checkpoint_steps": checkpoint_steps,
        "max_steps": steps,
        "evaluation_tokens": 1024,
        "seed": seed,
        **more.pop("hyperparameters", {}),
    }
    return {
        "topic": "horror",
        "base_model": model,
        "max_characters": 2000,
        "parity_tokens": 512,
        "samples": {"tokens": 8},
        "model_name": "tales",
        "hyperparameters": hyperparameters,
        **more,
    }


def stage(run: Run, name: str) -> Run:
    """Gives one stage of a run."""
    return next(stage for stage in run["stages"] if stage["name"] == name)


def at_step(step: int) -> Callable[[Run], bool]:
    """Says whether a run's training has come to a step."""

    def reached(run: Run) -> bool:
        progress = stage(run, "train").get("progress", {})
        return progress.get("activity") == "training" and int(progress.get("completed", 0)) >= step

    return reached


def at_stage(name: str) -> Callable[[Run], bool]:
    """Says whether a stage of a run has begun."""
    return lambda run: stage(run, name).get("state") not in {None, "STATE_PENDING", "STATE_UNSPECIFIED"}


def reason(run: Run, name: str) -> str:
    """Gives the reason why a run's stage waits, empty where it does not."""
    told, _, _ = str(stage(run, name).get("progress", {}).get("activity", "")).partition(":")
    return told if told.isupper() else ""


def archive(folder: Path) -> bytes:
    """Packs a folder into a zip; equal folders give equal bytes."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir()):
            file.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _short(run: Run | None) -> str:
    return json.dumps(run)[:6000]
