"""What a program is given by Kubernetes alone: its Job's name, and a file to say its end in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.common.steps import to_json
from services.common.storage import Store
from services.jobs.kubernetes.ends import end_of
from services.jobs.records import JobRecords
from tests.support.cluster_objects import ended
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, Workplace, fake_spec


def run(place: Workplace, tmp_path: Path, spec: object, **environment: str) -> int:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(to_json(spec)) if not isinstance(spec, str) else spec)
    given = {**place.environment, "BOOKMILL_JOB_SCRATCH": str(tmp_path), **environment}
    command = [sys.executable, "-m", "tests.support.fake_job", str(file)]
    return subprocess.run(command, env=given, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        ("", 0, None),
        ("bad", 42, "NO_SPLIT"),
        ("memory", 43, "OUT_OF_MEMORY"),
        ("crash", 1, "CRASHED"),
        ("store", 1, "STORE_UNAVAILABLE"),
        ("interrupt", 75, "INTERRUPTED"),
    ],
)
def test_it_says_why_it_ended(place: Workplace, tmp_path: Path, behaviour: str, code: int, reason: str | None) -> None:
    end = tmp_path / "end"
    assert run(place, tmp_path, fake_spec(behaviour), BOOKMILL_JOB_END_FILE=str(end)) == code
    assert end.exists() == (reason is not None)
    if reason is not None:
        # As the launcher reads it.
        assert json.loads(end.read_text())["reason"] == reason
        assert end_of(ended(1, code, message=end.read_text())).reason == reason


def test_it_says_that_it_cannot_read_its_request(place: Workplace, tmp_path: Path) -> None:
    end = tmp_path / "end"
    assert run(place, tmp_path, "no JSON", BOOKMILL_JOB_END_FILE=str(end)) == 42
    assert json.loads(end.read_text())["reason"] == "BAD_REQUEST"


def test_it_says_that_the_store_forbids_it(place: Workplace, tmp_path: Path) -> None:
    end, wrong = tmp_path / "end", tmp_path / "wrong"
    wrong.write_text("wrong")
    keys = {"BOOKMILL_STORE_SECRET_KEY_FILE": str(wrong), "BOOKMILL_JOB_END_FILE": str(end)}
    assert run(place, tmp_path, fake_spec(), **keys) == 42
    assert json.loads(end.read_text())["reason"] == "STORE_FORBIDDEN"


def test_a_job_of_another_name_is_refused(place: Workplace, tmp_path: Path, store: Store) -> None:
    spec, end = fake_spec(), tmp_path / "end"
    job = STEP.key(spec)
    names = {"BOOKMILL_JOB_NAME": "train-" + "0" * 20, "BOOKMILL_JOB_END_FILE": str(end)}
    assert run(place, tmp_path, spec, **names) == 42
    told = json.loads(end.read_text())
    assert told["reason"] == "WRONG_NAME"
    assert job[:20] in told["message"]
    assert JobRecords(store).request(job, STEP.name, type(spec)) is None
    assert run(place, tmp_path, spec, BOOKMILL_JOB_NAME=KIND.id(job)) == 0
