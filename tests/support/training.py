"""A small training in a store: a tiny model, a dataset of our own text, and the program run as a process."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bookmill.v1 import object_pb2, train_pb2
from services.common.objects import Reference
from services.common.steps import recorded, to_json
from services.common.storage import Store
from services.jobs.program import JobContext
from services.jobs.signals import StopFlag
from services.train.job.checkpoints import Checkpoints
from services.train.job.program import train_model
from services.train.step import TRAIN
from tests.support.tiny_model import TALE, build_tiny_model

ROOT = Path(__file__).resolve().parents[2]


def rows(book: str, text: str, characters: int = 400) -> list[dict[str, object]]:
    """A book's rows, as BuildDataset makes them, of chunks of a fixed length."""
    chunks = [text[at : at + characters] for at in range(0, len(text), characters)]
    return [
        {
            "text": chunk,
            "book_id": book,
            "title": f"The {book}",
            "author": "A. Wren",
            "source": f"gutenberg:{book}",
            "position": position,
            "sha256": hashlib.sha256(chunk.encode()).hexdigest(),
        }
        for position, chunk in enumerate(chunks)
    ]


def write_split(path: Path, split: Sequence[dict[str, object]]) -> None:
    """Writes a split's parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(split)), path)


def put_dataset(store: Store, folder: Path, *, repeats: int = 3, held_out: bool = True) -> Reference:
    """Puts a dataset of tales that are variations of one text into the store."""
    names = [f"{900001 + number}" for number in range(repeats)]
    train = [row for number, name in enumerate(names) for row in rows(name, variation(number))]
    write_split(folder / "train.parquet", train)
    if held_out:
        write_split(folder / "test.parquet", rows("900100", variation(99)))
    return store.put_folder("datasets", folder)


def variation(number: int) -> str:
    """A tale that differs from the others."""
    lamps = ("lamp", "candle", "lantern", "fire")[number % 4]
    return f"Tale {number}.\n\n" + TALE.replace("lamp", lamps).replace("eleven", str(number + 2))


def put_model(store: Store, folder: Path, *, hidden: int = 64) -> Reference:
    """Puts a tiny base model into the store."""
    build_tiny_model(folder, hidden=hidden)
    return store.put_folder("models", folder)


def hyperparameters(**changes: float | str) -> train_pb2.Hyperparameters:
    """Complete hyper-parameters of a training that takes seconds."""
    values: dict[str, float | str] = {
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,  # so that the state of the random numbers counts
        "learning_rate": 5e-3,
        "warmup_steps": 2,
        "weight_decay": 0.01,
        "epochs": 2.0,
        "context_length": 64,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "seed": 3407,
        "checkpoint_steps": 2,
        "precision": "auto",
        "evaluation_tokens": 200,
    }
    return train_pb2.Hyperparameters(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class TrainingProgram:
    """The program of one training."""

    spec: train_pb2.TrainingSpec
    folder: Path
    store: Store
    environment: dict[str, str]

    @property
    def job(self) -> str:
        """The spec's hash."""
        return TRAIN.key(self.spec)

    def start(self) -> subprocess.Popen[str]:
        """Starts the program."""
        self.folder.mkdir(parents=True, exist_ok=True)
        request = self.folder / "request.json"
        request.write_text(json.dumps(to_json(self.spec)))
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "services.train.job", str(request)],
            cwd=ROOT,
            env={**os.environ, **self.environment, "BOOKMILL_JOB_SCRATCH": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, seconds: float = 120.0) -> tuple[int, str]:
        """Runs the program to its end; gives its exit code and what it logged."""
        with self.start() as process:
            try:
                output, log = process.communicate(timeout=seconds)
            finally:
                process.kill()
        assert output == "", output
        return process.returncode, log

    def forget(self) -> None:
        """Deletes all that the job left in the store, so that it can be done again."""
        for area in ("adapters", "checkpoints", "jobs", "logs", "reports", "results"):
            for key in list(self.store.list(f"{area}/")):
                self.store.delete(key)

    def checkpoints(self) -> list[int]:
        """The steps of its complete checkpoints, the newest first."""
        return [checkpoint.step for checkpoint in Checkpoints(self.store, self.job).complete()]

    def attempt(self, scratch: Path, at_step: Callable[[int], None] = lambda _: None) -> train_pb2.TrainingResult:
        """Makes one attempt in this process, without a program around it.

        Args:
            scratch: a folder that does not exist.
            at_step: told each step that was done, before its checkpoint is written.
        """
        stop = StopFlag()

        def sink(progress: object_pb2.Progress) -> None:
            if progress.activity == "training":
                try:
                    at_step(progress.completed)
                except StopIteration:
                    stop.request()

        scratch.mkdir()
        # One thread: tiny matrices gain nothing from more, and several would wait for each other on shared cores.
        return train_model(self.spec, JobContext(self.store, self.job, scratch, stop, 1, sink))

    def result(self) -> train_pb2.TrainingResult | None:
        """The recorded result."""
        return recorded(self.store, TRAIN, self.job, train_pb2.TrainingResult)
