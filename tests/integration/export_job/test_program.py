"""The program, stopped and killed in the middle: its result is the uninterrupted one's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from bookmill.v1 import export_pb2
from services.common.steps import recorded
from services.common.storage import Store
from services.export.step import EXPORT
from services.export.verified import find_verified
from services.jobs.records import JobRecords
from tests.integration.export_job.conftest import Finished

DEADLINE = 120.0
"""Seconds for the program to get somewhere; it takes ten on an idle machine."""


@pytest.fixture
def program(store_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(request: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.export.job", str(request)],
            env={**os.environ, **store_environment, "BOOKMILL_JOB_SCRATCH": str(tmp_path)},
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_stopped_and_killed_it_gives_what_it_gives_undisturbed(
    program: Callable[[Path], subprocess.Popen[bytes]], finished: Finished, store: Store, tmp_path: Path
) -> None:
    spec = finished.inputs.spec(store, ("q4_k_m", "q8_0"))
    request, job = _write_request(tmp_path, spec), EXPORT.key(spec)

    process = program(request)
    _wait_for(lambda: store.get_record(f"checkpoints/{job}/base.json"), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 75

    process = program(request)
    _wait_for(lambda: store.get_record(f"checkpoints/{job}/f16.json"), process)
    process.kill()
    process.wait(DEADLINE)
    assert recorded(store, EXPORT, job, export_pb2.ExportResult) is None

    process = program(request)
    assert process.wait(DEADLINE) == 0, process.communicate()[1].decode()
    assert recorded(store, EXPORT, job, export_pb2.ExportResult) == finished.result
    # It is one that may be published: the same rules are applied anew there.
    name = f"exportJobs/export-{job[:20]}"
    assert find_verified(store, name).result == finished.result


def test_a_model_that_fails_parity_is_never_recorded(
    program: Callable[[Path], subprocess.Popen[bytes]], finished: Finished, store: Store, tmp_path: Path
) -> None:
    spec = finished.inputs.spec(store)
    spec.bounds.merged = 1e-9
    process = program(_write_request(tmp_path, spec))
    assert process.wait(DEADLINE) == 42, process.communicate()[1].decode()
    job = EXPORT.key(spec)
    assert recorded(store, EXPORT, job, export_pb2.ExportResult) is None
    outcome = JobRecords(store).outcome(job)
    assert outcome is not None
    assert outcome.reason == "PARITY"
    assert outcome.message.startswith("perplexity of merged is ")
    assert outcome.metadata["bound"] == "1e-09"
    assert not [key for key in store.list("models/") if key.endswith(".gguf")]


def _write_request(folder: Path, spec: export_pb2.ExportSpec) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps(json.loads(MessageToJson(spec, preserving_proto_field_name=True))), encoding="utf-8")
    return path


def _wait_for(look: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + DEADLINE
    while look() is None:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < until, "the program does not get there"
        time.sleep(0.05)
