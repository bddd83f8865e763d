"""One finished export of a tiny model, which the tests of this folder look at and start from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bookmill.v1 import export_pb2
from deploy.examples.base_model import build_base_model
from services.common.storage import Store
from services.export.job.exporting import export
from services.jobs.program import JobContext
from services.jobs.signals import StopFlag
from tests.conftest import store_of
from tests.support.export_inputs import Inputs, tiny_inputs

STAGES = ("text", "base", "merged", "f16", "q4_k_m", "q8_0")


@dataclass(frozen=True, slots=True)
class Attempts:
    """Exports in one store, each in a scratch folder of its own."""

    store: Store
    folder: Path
    job: str = "a" * 64
    """Names the checkpoints."""

    def run(
        self,
        spec: export_pb2.ExportSpec,
        scratch: str = "scratch",
        seen: Callable[[Any], None] = lambda progress: None,
        stop: StopFlag | None = None,
    ) -> export_pb2.ExportResult:
        """Makes an attempt."""
        (self.folder / scratch).mkdir(parents=True)
        return export(spec, JobContext(self.store, self.job, self.folder / scratch, stop or StopFlag(), 2, seen))

    def after(self, stage: str, folder: Path, job: str) -> "Attempts":
        """Gives attempts of another job, for which the stages up to this one are done."""
        for name in STAGES[: STAGES.index(stage) + 1]:
            record = self.store.get_record(f"checkpoints/{self.job}/{name}.json")
            self.store.put_record(f"checkpoints/{job}/{name}.json", record)
        return replace(self, folder=folder, job=job)

    def done(self) -> set[str]:
        """Names of the stages that are done."""
        return {Path(key).stem for key in self.store.list(f"checkpoints/{self.job}/")}


@dataclass(frozen=True, slots=True)
class Finished:
    """An export that succeeded."""

    attempts: Attempts
    inputs: Inputs
    spec: export_pb2.ExportSpec
    result: export_pb2.ExportResult
    activities: tuple[str, ...]
    """What it reported, in order."""


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return tiny_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def finished(inputs: Inputs, s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    store = store_of({**s3, "BOOKMILL_STORE_BUCKET": "export-job"})
    store.ensure_bucket()
    spec = inputs.spec(store, ("q4_k_m", "q8_0"))
    attempts = Attempts(store, tmp_path_factory.mktemp("finished"))
    activities: list[str] = []
    result = attempts.run(spec, seen=lambda progress: activities.append(progress.activity))
    return Finished(attempts, inputs, spec, result, tuple(activities))


@pytest.fixture
def attempts(store: Store, tmp_path: Path) -> Attempts:
    """Attempts in a store where nothing is done."""
    return Attempts(store, tmp_path)


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's base model."""
    folder = tmp_path_factory.mktemp("base") / "smollm2"
    build_base_model(folder)
    return folder
