"""Two trainings of one specification give the same bytes, whatever happened to them on the way."""

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.jobs.exits import Interrupted
from services.train.job.checkpoints import FILES, Checkpoints
from tests.support.training import TrainingProgram

STEPS = 10
"""Of the training: two epochs of five steps, the last one of an epoch with fewer sequences."""


class Killed(BaseException):
    """Ends an attempt as abruptly as can be in one process."""


def until_step(program: TrainingProgram, step: int, alive: Callable[[], bool]) -> None:
    """Waits until a program has left a checkpoint of a step or a later one."""
    until = time.monotonic() + 90
    while not any(done >= step for done in program.checkpoints()):
        assert alive(), "it ended before it was to be disturbed"
        assert time.monotonic() < until, f"no checkpoint of step {step}"
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_and_stopped_programs_give_the_same_bytes(program: TrainingProgram) -> None:
    code, log = program.run()
    assert code == 0, log
    expected = program.result()
    assert expected is not None
    assert expected.steps == STEPS
    assert program.checkpoints() == [10, 8]
    program.forget()

    for step, number, code in (2, signal.SIGKILL, -signal.SIGKILL), (4, signal.SIGTERM, 75):
        with program.start() as process:
            until_step(program, step, alive=lambda process=process: process.poll() is None)  # type: ignore[misc]
            process.send_signal(number)
            _, log = process.communicate(timeout=60)
        assert process.returncode == code, log
        assert program.result() is None
        assert not list(program.store.list("adapters/")), "half a training was kept"
    reached = program.checkpoints()[0]
    assert 4 <= reached < STEPS

    code, log = program.run()
    assert code == 0, log
    assert f"goes on from step {reached}" in log
    # The adapter's digest and the report's: weights, each step's loss, perplexities.
    assert program.result() == expected


@dataclass(frozen=True)
class Disturbance:
    """What happens to an attempt when a step is done."""

    step: int
    error: type[BaseException]
    left: int
    """The newest checkpoint afterwards."""


# A wish to stop that comes after a step is heeded at the end of the next one. Of what is killed, the checkpoint of
# every second step is there. Together they end and begin at every step of both epochs.
SERIES = {
    "stopped at even steps": [Disturbance(step, StopIteration, step + 1) for step in (1, 3, 5, 7, 9)],
    "stopped at odd steps": [Disturbance(step, StopIteration, step + 1) for step in (2, 4, 6, 8)],
    "stopped when it is done": [Disturbance(10, StopIteration, 10)],
    "killed": [Disturbance(step, Killed, (step - 1) // 2 * 2) for step in (1, 4, 5, 10)],
}


@pytest.mark.slow
@pytest.mark.usefixtures("_arithmetic")
def test_every_step_can_be_the_last_of_an_attempt(program: TrainingProgram, tmp_path: Path) -> None:
    expected = program.attempt(tmp_path / "undisturbed")
    assert expected.steps == STEPS
    for name, disturbances in SERIES.items():
        program.forget()
        for disturbance in disturbances:

            def disturb(step: int, wanted: Disturbance = disturbance) -> None:
                if step == wanted.step:
                    raise wanted.error

            scratch = tmp_path / f"{name} {disturbance.step}"
            with pytest.raises((Interrupted, Killed)):
                program.attempt(scratch, disturb)
            shutil.rmtree(scratch)
            assert not list(program.store.list("adapters/")), "half a training was kept"
            assert max([*program.checkpoints(), 0]) == disturbance.left
        assert program.attempt(tmp_path / name) == expected, name


@pytest.mark.slow
@pytest.mark.usefixtures("_arithmetic")
def test_a_damaged_checkpoint_is_passed_over(program: TrainingProgram, tmp_path: Path) -> None:
    expected = program.attempt(tmp_path / "undisturbed")
    damaged = next(key for key in program.store.list("checkpoints/") if key.endswith("optimizer.pt") and "10/" in key)
    size = program.store.stat(damaged)
    program.store.delete(damaged)
    other = tmp_path / "other"
    other.write_bytes(b"\0" * (size or 0))
    program.store._client.fput_object(program.store._bucket, damaged, str(other))

    steps: list[int] = []
    assert program.attempt(tmp_path / "again", steps.append) == expected
    assert steps == [9, 10], "it went on from step 8"
    newest = Checkpoints(program.store, program.job).newest(tmp_path / "newest")
    assert newest is not None
    assert newest.step == STEPS, "it was written anew"


@pytest.mark.slow
@pytest.mark.usefixtures("_arithmetic")
def test_no_step_is_taken_after_the_last(program: TrainingProgram, tmp_path: Path) -> None:
    program.spec.hyperparameters.max_steps = 3  # in the middle of an epoch, where the trainer would go on
    expected = program.attempt(tmp_path / "undisturbed")
    program.forget()

    def stop(step: int) -> None:
        if step == 3:
            raise StopIteration

    with pytest.raises(Interrupted, match="after step 3 of 3"):
        program.attempt(tmp_path / "stopped", stop)
    assert not list(program.store.list("adapters/"))
    steps: list[int] = []
    assert program.attempt(tmp_path / "again", steps.append) == expected
    assert steps == []


@pytest.mark.slow
@pytest.mark.usefixtures("_arithmetic")
def test_two_checkpoints_are_kept(program: TrainingProgram, tmp_path: Path) -> None:
    program.attempt(tmp_path / "scratch")
    area = f"checkpoints/{program.job}/"
    folders = {key.removeprefix(area).split("/")[0] for key in program.store.list(area)}
    assert folders == {"before.json", "step-00000008", "step-00000010"}
    keys = [key for key in program.store.list(area) if "step-" in key]
    assert {key.rsplit("/", 1)[1] for key in keys} == {*FILES, "manifest.json"}
    assert len(keys) == 2 * (len(FILES) + 1)
