import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bookmill.v1.train_pb2 import TrainingResult
from services.common.steps import recorded, to_json
from services.common.storage import Store
from services.jobs.records import CANCELLED, JobRecords, Outcome
from tests.support.fake_job import STEP
from tests.support.fake_jobs import Workplace, fake_spec
from tests.support.waiting import eventually


class Program:
    """The fake job, run by hand as a Job of Kubernetes would."""

    def __init__(self, place: Workplace, tmp_path: Path) -> None:
        self.place = place
        self.file = tmp_path / "request.json"
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir()

    def start(self, spec: object, **environment: str) -> "subprocess.Popen[bytes]":
        self.file.write_text(spec if isinstance(spec, str) else json.dumps(to_json(spec)))
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_job", str(self.file)],
            env={**self.place.environment, "BOOKMILL_JOB_SCRATCH": str(self.scratch), **environment},
            stderr=subprocess.PIPE,
        )

    def run(self, spec: object, **environment: str) -> tuple[int, str]:
        process = self.start(spec, **environment)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors.decode()


@pytest.fixture
def program(place: Workplace, tmp_path: Path) -> Program:
    return Program(place, tmp_path)


def test_finishes_records_last_and_answers_from_the_record(program: Program, store: Store) -> None:
    spec = fake_spec(steps=3)
    job = STEP.key(spec)
    code, errors = program.run(spec)
    assert code == 0
    result = recorded(store, STEP, job, TrainingResult)
    assert result is not None
    assert result.steps == 3
    records = JobRecords(store)
    assert records.progress(job).completed == 3
    assert records.outcome(job) is None
    assert list(records.jobs()) == [job]
    log = store.get_record(f"logs/{job}/001.json")
    assert "begins" in [line["message"] for line in log["lines"]]
    assert [json.loads(line) for line in errors.splitlines()], "standard error is JSON lines"
    assert list(program.scratch.iterdir()) == []
    assert program.run(spec)[0] == 0
    assert len(program.place.pids()) == 1, "the second time the body did not run"


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        ("bad", 42, "NO_SPLIT"),
        ("gone", 42, "NO_SUCH_OBJECT"),
        ("memory", 43, "OUT_OF_MEMORY"),
        ("gpu memory", 43, "OUT_OF_MEMORY"),
        ("not finite", 44, "NOT_FINITE"),
    ],
)
def test_a_final_end_has_its_code_and_an_outcome(
    program: Program, store: Store, behaviour: str, code: int, reason: str
) -> None:
    spec = fake_spec(behaviour)
    assert program.run(spec)[0] == code
    outcome = JobRecords(store).outcome(STEP.key(spec))
    assert outcome is not None
    assert (outcome.state, outcome.reason, outcome.exit_code) == ("FAILED", reason, code)
    assert outcome.message
    # It stands until someone asks for another try.
    assert program.run(spec)[0] == code
    assert len(program.place.pids()) == 1


@pytest.mark.parametrize(("behaviour", "code"), [("crash", 1), ("store", 1), ("interrupt", 75)])
def test_an_end_that_may_pass_has_no_outcome(program: Program, store: Store, behaviour: str, code: int) -> None:
    spec = fake_spec(behaviour)
    job = STEP.key(spec)
    assert program.run(spec)[0] == code
    assert JobRecords(store).outcome(job) is None
    assert list(program.scratch.iterdir()) == []
    lines = store.get_record(f"logs/{job}/001.json")["lines"]
    if behaviour == "crash":
        assert "a defect of the body" in lines[-1]["exception"], "the log of a crash holds its trace"


def test_five_attempts_without_a_checkpoint_are_enough(program: Program, store: Store) -> None:
    spec = fake_spec("interrupt", steps=2, checkpoint=9)
    for _ in range(4):
        JobRecords(store).begin_attempt(STEP.key(spec))
    assert [program.run(spec)[0] for _ in range(2)] == [75, 45]
    outcome = JobRecords(store).outcome(STEP.key(spec))
    assert outcome is not None
    assert outcome.reason == "NO_PROGRESS"
    JobRecords(store).reopen(STEP.key(spec))
    assert program.run(spec)[0] == 75, "asked again, the count begins anew"


def test_a_new_checkpoint_is_progress(store: Store) -> None:
    records = JobRecords(store)
    job = "c" * 64
    counts = []
    for made in ([], ["000002.json"], [], [f"{'d' * 64}/model.bin"], [f"{'d' * 64}/manifest.json"], []):
        for name in made:
            store.put_record(f"checkpoints/{job}/{name}", {})
        counts.append(records.begin_attempt(job).without_progress)
    assert counts == [1, 1, 2, 3, 1, 2]
    assert records.begin_attempt(job).total == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_saves_the_state_and_the_next_goes_on(
    program: Program, store: Store, number: signal.Signals
) -> None:
    spec = fake_spec(steps=10, checkpoint=100)
    program.place.hold()
    process = program.start(spec)

    async def steps() -> int:
        return len(program.place.lines("step"))

    await eventually(steps, lambda n: n == 5)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 75
    (_, _, at) = program.place.lines("interrupted")[0]
    assert at == "5"
    program.place.release()
    assert program.run(spec)[0] == 0
    assert program.place.lines("start")[1][2] == at


async def test_a_kill_leaves_progress_to_go_on_from(program: Program, store: Store) -> None:
    spec = fake_spec(steps=20, checkpoint=2)
    program.place.hold()
    process = program.start(spec)

    async def steps() -> int:
        return len(program.place.lines("step"))

    await eventually(steps, lambda n: n == 10)
    program.place.release()
    process.kill()
    process.communicate(timeout=30)
    assert program.run(spec)[0] == 0
    assert program.place.lines("start")[1][2] in {"8", "10"}, "the newest checkpoint, or the one before"


@pytest.mark.parametrize("request_", ["{", '{"nothing": 1}', "[]", '{"hyperparameters": {"seed": "x"}}'])
def test_a_request_that_is_none_is_a_bad_configuration(program: Program, request_: str) -> None:
    code, errors = program.run(request_)
    assert code == 42
    assert "BAD_REQUEST" in errors


def test_without_a_store_it_crashes_and_says_so(program: Program) -> None:
    code, errors = program.run(fake_spec(), BOOKMILL_STORE_ENDPOINT="127.0.0.1:9")
    assert code == 1
    assert "STORE_UNAVAILABLE" in errors
    code, errors = program.run(fake_spec(), BOOKMILL_STORE_BUCKET="X")
    assert code == 2
    assert "BOOKMILL_STORE_BUCKET" in errors


def test_a_cancelled_job_is_not_run(program: Program, store: Store) -> None:
    spec = fake_spec()
    JobRecords(store).put_outcome(STEP.key(spec), Outcome(CANCELLED, "CANCELLED", "on request"))
    assert program.run(spec)[0] == 42
    assert program.place.pids() == []
