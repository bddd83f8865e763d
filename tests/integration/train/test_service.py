import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bookmill.v1 import object_pb2, train_pb2, train_pb2_grpc
from services.common.errors import BookmillError, InvalidInput, NotFound
from services.common.storage import Store
from services.jobs.records import JobRecords
from tests.support.fake_jobs import Workplace
from tests.support.job_service import JobService, kill_jobs
from tests.support.toy_objects import put_folder
from tests.support.waiting import eventually

STUB: Any = train_pb2_grpc.TrainServiceStub


@pytest.fixture
def place(tmp_path: Path, store: Store, store_environment: dict[str, str]) -> Iterator[Workplace]:
    place = Workplace.at(tmp_path, store, store_environment)
    yield place
    kill_jobs(place.pids())


@pytest.fixture
def serve(place: Workplace, tmp_path: Path) -> Iterator[Callable[[], JobService]]:
    """Starts train services with the fake job."""
    services: list[JobService] = []

    def start() -> JobService:
        environment = {
            **place.environment,
            "BOOKMILL_TRAIN_WORK_DIR": str(place.folder),
            "BOOKMILL_TRAIN_BACKOFF_SECONDS": "0.1",
        }
        log = tmp_path / f"train-{len(services)}.log"
        services.append(JobService("tests.support.fake_train_service", environment, log))
        return services[-1]

    yield start
    for service in services:
        service.kill()


@pytest.fixture
async def spec(store: Store) -> train_pb2.TrainingSpec:
    """A training of 20 steps, which the fake job makes."""
    dataset = await put_folder(store, "datasets", {"train.parquet": b"PAR1"})
    model = await put_folder(store, "models", {"model.safetensors": b"{}"})
    options = train_pb2.Hyperparameters(max_steps=20, learning_rate=0.02, checkpoint_steps=2)
    return train_pb2.TrainingSpec(dataset=dataset.to_proto(), base_model=model.to_proto(), hyperparameters=options)


async def create(service: JobService, spec: train_pb2.TrainingSpec, **options: bool) -> train_pb2.TrainingJob:
    request = train_pb2.CreateTrainingJobRequest(spec=spec, **options)
    return await service.call(STUB, "CreateTrainingJob", request, train_pb2.TrainingJob)


async def get(service: JobService, name: str) -> train_pb2.TrainingJob:
    request = train_pb2.GetTrainingJobRequest(name=name)
    return await service.call(STUB, "GetTrainingJob", request, train_pb2.TrainingJob)


async def watch(
    service: JobService, name: str, seen: list[train_pb2.TrainingJob] | None = None
) -> list[train_pb2.TrainingJob]:
    request = train_pb2.WatchTrainingJobRequest(name=name)
    return await service.watch(STUB, "WatchTrainingJob", request, train_pb2.TrainingJob, seen)


async def at_step(place: Workplace, step: int) -> None:
    async def steps() -> int:
        return max((int(row[2]) for row in place.lines("step")), default=-1)

    await eventually(steps, lambda seen: seen >= step)


async def test_a_killed_service_leaves_its_job_which_the_next_adopts(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    service = serve()
    place.hold()
    made = await create(service, spec)
    await at_step(place, 9)
    service.kill()
    service.start()
    assert (await get(service, made.name)).state == object_pb2.STATE_RUNNING
    assert (await create(service, spec)).name == made.name
    await eventually(lambda: _says(service, "adopted a process"), bool)
    place.release()
    ended = (await watch(service, made.name))[-1]
    assert ended.state == object_pb2.STATE_SUCCEEDED
    assert len(place.pids()) == 1, "the job that was left is the one that finished"
    assert [row[2] for row in place.lines("step")] == [str(n) for n in range(20)]


async def test_a_killed_service_and_a_killed_job_go_on_from_the_checkpoint(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    service = serve()
    place.hold()
    made = await create(service, spec)
    await at_step(place, 9)
    service.kill()
    os.killpg(place.pids()[0], signal.SIGKILL)
    place.release()
    service.start()
    # Nobody asks for the job: the service itself finds what is unfinished.
    await eventually(lambda: _starts(place), lambda starts: starts == 2)
    assert int(place.lines("start")[1][2]) >= 6
    assert (await watch(service, made.name))[-1].state == object_pb2.STATE_SUCCEEDED


async def test_an_adopted_job_can_be_cancelled(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    service = serve()
    place.hold()
    made = await create(service, spec)
    await at_step(place, 9)
    service.kill()
    service.start()
    request = train_pb2.CancelTrainingJobRequest(name=made.name)
    await service.call(STUB, "CancelTrainingJob", request, train_pb2.TrainingJob)
    assert (await watch(service, made.name))[-1].state == object_pb2.STATE_CANCELLED
    assert len(place.lines("interrupted")) == 1
    assert len(place.pids()) == 1


async def test_a_service_that_is_stopped_stops_its_job_and_the_next_goes_on(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    service = serve()
    place.hold()
    made = await create(service, spec)
    await at_step(place, 9)
    assert service.terminate() == 0
    assert len(place.lines("interrupted")) == 1
    place.release()
    service.start()
    assert (await watch(service, made.name))[-1].state == object_pb2.STATE_SUCCEEDED
    assert [row[2] for row in place.lines("step")] == [str(n) for n in range(20)], "no step was lost or made twice"


async def test_two_services_and_two_creates_at_once_make_one_process(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    one, other = serve(), serve()
    place.hold()
    jobs = await asyncio.gather(*(create(service, spec) for service in (one, one, other, other)))
    assert len({job.name for job in jobs}) == 1
    seen: tuple[list[train_pb2.TrainingJob], ...] = ([], [])
    watching = asyncio.gather(*map(watch, (one, other), (jobs[0].name,) * 2, seen))

    async def latest() -> list[int]:
        return [views[-1].progress.completed if views else -1 for views in seen]

    await eventually(latest, lambda steps: steps == [10, 10])
    place.release()
    await watching
    for views in seen:
        assert views[-1].state == object_pb2.STATE_SUCCEEDED
        steps = [view.progress.completed for view in views]
        assert steps == sorted(steps)
        assert steps[-1] == 20, "the last message shows the end of the work"
    assert len(place.pids()) == 1


async def test_validate_only_makes_nothing(
    serve: Callable[[], JobService], place: Workplace, spec: train_pb2.TrainingSpec
) -> None:
    job = await create(serve(), spec, validate_only=True)
    assert job.state == object_pb2.STATE_UNSPECIFIED
    assert job.spec.hyperparameters.lora_rank == 16, "defaults are filled in"
    assert list(JobRecords(place.store).jobs()) == []


def _lacks(spec: train_pb2.TrainingSpec) -> None:
    spec.dataset.Clear()


def _gone(spec: train_pb2.TrainingSpec) -> None:
    spec.base_model.key = spec.base_model.key.replace("models/", "models/0")


def _file(spec: train_pb2.TrainingSpec) -> None:
    spec.base_model.key = spec.base_model.key.replace("manifest.json", "model.safetensors")


def _rank(spec: train_pb2.TrainingSpec) -> None:
    spec.hyperparameters.lora_rank = -3


@pytest.mark.parametrize(
    ("spoil", "kind", "reason", "field"),
    [
        (_lacks, InvalidInput, "BAD_REFERENCE", "dataset"),
        (_gone, NotFound, "NO_SUCH_OBJECT", "base_model"),
        (_file, InvalidInput, "BAD_REFERENCE", "base_model"),
        (_rank, InvalidInput, "BAD_HYPERPARAMETER", "lora_rank"),
    ],
)
async def test_a_bad_request_is_refused(
    serve: Callable[[], JobService],
    place: Workplace,
    spec: train_pb2.TrainingSpec,
    spoil: Callable[[train_pb2.TrainingSpec], None],
    kind: type[BookmillError],
    reason: str,
    field: str,
) -> None:
    spoil(spec)
    with pytest.raises(kind, match=reason) as caught:
        await create(serve(), spec)
    assert caught.value.metadata["field"] == field
    assert list(JobRecords(place.store).jobs()) == []


async def _says(service: JobService, message: str) -> bool:
    return f'"{message}"' in service.log.read_text(encoding="utf-8")


async def _starts(place: Workplace) -> int:
    return len(place.pids())
