"""Jobs that run the program of `tests.support.fake_job`."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from bookmill.v1.object_pb2 import ObjectReference
from bookmill.v1.train_pb2 import Hyperparameters, TrainingResult, TrainingSpec
from services.common.settings import StoreSettings
from services.common.storage import Store
from services.jobs.following import Jobs
from services.jobs.kinds import JobKind
from services.jobs.local import LocalLauncher
from services.jobs.records import JobRecords
from services.jobs.settings import LaunchSettings
from tests.support.fake_job import STEP
from tests.support.gate import Gate

ROOT = Path(__file__).resolve().parents[2]
KIND = JobKind(STEP, TrainingSpec, TrainingResult, "trainingJobs", "train", "tests.support.fake_job")


def fake_spec(
    behaviour: str = "", steps: int = 4, seconds: float = 0.01, checkpoint: int = 2, seed: int = 1
) -> TrainingSpec:
    """Gives a specification of the fake job; `seed` sets equal ones apart."""
    sha256 = "ab" * 32
    reference = ObjectReference(key=f"datasets/{sha256}/manifest.json", sha256=sha256, size_bytes=2)
    options = Hyperparameters(
        precision=behaviour, max_steps=steps, learning_rate=seconds, checkpoint_steps=checkpoint, seed=seed
    )
    return TrainingSpec(dataset=reference, base_model=reference, hyperparameters=options)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where jobs run in a test."""

    store: Store
    environment: dict[str, str]
    """Of services and programs."""
    folder: Path
    """The launchers' work folder."""
    journal: Path
    """What the fake jobs write down."""

    @classmethod
    def at(cls, folder: Path, store: Store, store_environment: dict[str, str]) -> "Workplace":
        journal = folder / "journal"
        path = os.pathsep.join((str(ROOT), str(ROOT / "protos")))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BOOKMILL_")}
        fake = {"FAKE_JOB_JOURNAL": str(journal), "FAKE_JOB_HOLD": str(folder / "hold"), "PYTHONPATH": path}
        environment = {**kept, **store_environment, **fake}
        return cls(store, environment, folder / "work", journal)

    def behind(self, gate: Gate) -> "Workplace":
        """Gives the same place, whose store is reached through a gate."""
        environment = {**self.environment, "BOOKMILL_STORE_ENDPOINT": gate.address}
        return replace(self, environment=environment, store=Store(_settings(environment)))

    def hold(self) -> None:
        """Lets jobs wait in their middle."""
        Path(self.environment["FAKE_JOB_HOLD"]).touch()

    def release(self) -> None:
        """Lets them go on."""
        Path(self.environment["FAKE_JOB_HOLD"]).unlink()

    def launcher(self, **settings: float) -> LocalLauncher:
        """Makes a launcher, quick to try again."""
        given = LaunchSettings.model_validate({"work_dir": self.folder, "backoff_seconds": 0.05, **settings})
        return LocalLauncher(JobRecords(self.store), given, _settings(self.environment), self.environment)

    def jobs(self, **settings: float) -> Jobs[TrainingSpec, TrainingResult]:
        """Makes what a service follows its jobs with."""
        return Jobs(KIND, self.store, self.launcher(**settings))

    def lines(self, word: str) -> list[list[str]]:
        """Gives the journal's lines of a kind (`start`, `step`, `interrupted`, `end`), with process id and step."""
        if not self.journal.exists():
            return []
        rows = [line.split() for line in self.journal.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if row[0] == word]

    def pids(self) -> list[int]:
        """Gives the process ids of all starts, in order."""
        return [int(row[1]) for row in self.lines("start")]


def _settings(environment: dict[str, str]) -> StoreSettings:
    return StoreSettings(
        endpoint=environment["BOOKMILL_STORE_ENDPOINT"],
        bucket=environment["BOOKMILL_STORE_BUCKET"],
        access_key_file=Path(environment["BOOKMILL_STORE_ACCESS_KEY_FILE"]),
        secret_key_file=Path(environment["BOOKMILL_STORE_SECRET_KEY_FILE"]),
    )
