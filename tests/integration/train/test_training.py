import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bookmill.v1 import object_pb2, train_pb2, train_pb2_grpc
from services.common.storage import Store
from services.train.step import TRAIN
from tests.support.fake_jobs import Workplace
from tests.support.job_service import JobService
from tests.support.training import hyperparameters, put_dataset, put_model
from tests.support.waiting import eventually


@pytest.fixture
def service(tmp_path: Path, store: Store, store_environment: dict[str, str]) -> Iterator[JobService]:
    """The real service with the real trainer."""
    place = Workplace.at(tmp_path, store, store_environment)
    environment = {
        **place.environment,
        "BOOKMILL_TRAIN_WORK_DIR": str(place.folder),
        "BOOKMILL_TRAIN_BACKOFF_SECONDS": "0.1",
        "BOOKMILL_TRAIN_GRACE_SECONDS": "30",
    }
    service = JobService("services.train", environment, tmp_path / "train.log")
    yield service
    service.terminate()


@pytest.mark.slow
async def test_a_training_that_is_killed_half_way_ends_with_its_adapter(
    service: JobService, store: Store, tmp_path: Path
) -> None:
    spec = train_pb2.TrainingSpec(
        dataset=put_dataset(store, tmp_path / "dataset", repeats=6).to_proto(),
        base_model=put_model(store, tmp_path / "model").to_proto(),
        hyperparameters=hyperparameters(checkpoint_steps=2, epochs=20.0, max_steps=30),
    )
    stub = train_pb2_grpc.TrainServiceStub
    estimated = await service.call(
        stub, "EstimateTraining", train_pb2.EstimateTrainingRequest(spec=spec), train_pb2.EstimateTrainingResponse
    )
    assert estimated.steps == 30
    assert not estimated.recorded
    assert not estimated.HasField("seconds")
    request = train_pb2.CreateTrainingJobRequest(spec=spec)
    job = await service.call(stub, "CreateTrainingJob", request, train_pb2.TrainingJob)
    assert job.name == f"trainingJobs/train-{TRAIN.key(job.spec)[:20]}"
    hashed = TRAIN.key(job.spec)

    async def checkpoints() -> int:
        return sum(key.endswith("/manifest.json") for key in store.list(f"checkpoints/{hashed}/"))

    await eventually(checkpoints, lambda count: count > 0, seconds=120)
    (lock,) = (tmp_path / "work").glob(f"*/{hashed}/lock")
    os.kill(int(lock.read_text()), signal.SIGKILL)

    watch = train_pb2.WatchTrainingJobRequest(name=job.name)
    seen = await service.watch(stub, "WatchTrainingJob", watch, train_pb2.TrainingJob)
    ended = seen[-1]
    assert ended.state == object_pb2.STATE_SUCCEEDED, ended.reason
    assert ended.result.steps == 30
    assert store.stat(ended.result.adapter.key) == ended.result.adapter.size_bytes
    assert any(job.progress.figures.get("loss", 0) > 0 for job in seen), "the loss was seen on the way"

    async def log() -> list[str]:
        record = store.get_record(f"logs/{hashed}/002.json") or {"lines": []}
        return [line["message"] for line in record["lines"]]

    # The result is there a moment before the log of the attempt that made it.
    await eventually(log, lambda messages: "finished" in messages)
    again = await service.call(
        stub, "EstimateTraining", train_pb2.EstimateTrainingRequest(spec=spec), train_pb2.EstimateTrainingResponse
    )
    assert again.recorded
