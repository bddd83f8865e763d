"""A job's program whose end is chosen by its specification, to try launchers on.

It is a real program through `services.jobs.program`; only its body trains nothing. Of the hyper-parameters,
`precision` is the behaviour, `max_steps` the steps, `learning_rate` the seconds of one, `checkpoint_steps` the steps
between checkpoints. Each start, step and end is a line of the file that `FAKE_JOB_JOURNAL` names. In the middle the job
waits while the file that `FAKE_JOB_HOLD` names is there.
"""

import os
import signal
import time
from pathlib import Path

from bookmill.v1.train_pb2 import TrainingResult, TrainingSpec
from services.common.errors import NotFound, Unavailable
from services.common.steps import Step
from services.jobs.exits import BadConfiguration, Interrupted, NotFinite, OutOfMemory
from services.jobs.program import JobContext, run

STEP = Step("train_model", 1)


def work(spec: TrainingSpec, context: JobContext) -> TrainingResult:
    """Counts to `max_steps`, from the newest checkpoint."""
    options = spec.hyperparameters
    done = max((int(key.rsplit("/", 1)[1][:6]) for key in context.store.list(f"checkpoints/{context.job}/")), default=0)
    _note(f"start {os.getpid()} {done}")
    if options.precision == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for step in range(done, options.max_steps):
        context.report("counting", step, options.max_steps, "steps", loss=1 / (step + 1))
        if step > done and step % options.checkpoint_steps == 0:
            context.store.put_record(f"checkpoints/{context.job}/{step:06d}.json", {"step": step})
        if step == options.max_steps // 2:
            _hold(context)
        if context.stop.requested and options.precision != "hang":
            context.store.put_record(f"checkpoints/{context.job}/{step:06d}.json", {"step": step})
            _note(f"interrupted {os.getpid()} {step}")
            raise Interrupted(message=f"at step {step}")
        if step == options.max_steps // 2:
            _misbehave(options.precision, first=done == 0)
        _note(f"step {os.getpid()} {step}")
        time.sleep(options.learning_rate)
    adapter = context.store.put_bytes("adapters", f"{options.max_steps} steps".encode())
    report = context.store.put_bytes("reports", b"{}", ".json")
    context.report("counting", options.max_steps, options.max_steps, "steps")
    _note(f"end {os.getpid()} {options.max_steps}")
    return TrainingResult(adapter=adapter.to_proto(), report=report.to_proto(), steps=options.max_steps)


def _hold(context: JobContext) -> None:
    hold = Path(os.environ.get("FAKE_JOB_HOLD", os.devnull) or os.devnull)
    while hold.is_file() and not context.stop.requested:
        time.sleep(0.02)


def _misbehave(behaviour: str, first: bool) -> None:
    match behaviour:
        case "crash":
            raise RuntimeError("a defect of the body")
        case "crash once" if first:
            os._exit(3)
        case "bad":
            raise BadConfiguration("NO_SPLIT", "the dataset has no train split")
        case "memory":
            raise MemoryError
        case "gpu memory":
            raise OutOfMemory(message="17 GiB are not there")
        case "not finite":
            raise NotFinite(message="the loss of step 3 is nan")
        case "gone":
            raise NotFound("NO_SUCH_OBJECT", "datasets/x is not in the store")
        case "store":
            raise Unavailable("STORE_UNAVAILABLE", "the store does not answer")
        case "interrupt":
            raise Interrupted(message="for no reason")
        case _:
            return


def _note(line: str) -> None:
    journal = os.environ.get("FAKE_JOB_JOURNAL")
    if journal:
        with Path(journal).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    raise SystemExit(run(STEP, TrainingSpec, TrainingResult, work))
