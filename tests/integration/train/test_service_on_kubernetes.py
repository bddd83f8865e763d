import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bookmill.v1 import object_pb2, train_pb2, train_pb2_grpc
from services.common.storage import Store
from services.jobs.kubernetes.settings import size_of
from services.train.facts import read_model
from services.train.training_jobs import TRAINING, complete
from tests.support.api_server import ApiServer
from tests.support.api_services import refused, serve
from tests.support.fake_jobs import Workplace
from tests.support.toy_objects import put_folder
from tests.support.training import put_dataset, put_model

STUB: Any = train_pb2_grpc.TrainServiceStub
GIB = 1 << 30


@pytest.fixture
def place(tmp_path: Path, store: Store, store_environment: dict[str, str]) -> Workplace:
    return Workplace.at(tmp_path, store, store_environment)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.stop()


async def test_a_job_is_made_as_it_was_shown(place: Workplace, server: ApiServer, tmp_path: Path, store: Store) -> None:
    model, dataset = put_model(store, tmp_path / "model"), put_dataset(store, tmp_path / "dataset")
    spec = train_pb2.TrainingSpec(dataset=dataset.to_proto(), base_model=model.to_proto())
    service = serve(place, server, tmp_path, "train", accelerator="nvidia")
    try:
        ask = train_pb2.CreateTrainingJobRequest(spec=spec, validate_only=True)
        shown = await service.call(STUB, "CreateTrainingJob", ask, train_pb2.TrainingJob)
        assert server.jobs == {}
        ask = train_pb2.CreateTrainingJobRequest(spec=spec)
        made = await service.call(STUB, "CreateTrainingJob", ask, train_pb2.TrainingJob)
    finally:
        service.terminate()
    assert (made.name, made.state) == (shown.name, object_pb2.STATE_PENDING)
    (there,) = server.jobs.values()
    manifest = yaml.safe_load(shown.manifest)
    assert there["spec"] == manifest["spec"]
    assert there["metadata"]["labels"] == manifest["metadata"]["labels"]
    assert there["metadata"]["name"] == TRAINING.id(TRAINING.step.key(complete(spec)))
    resources = manifest["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    # Base model and two checkpoints and a fifth; the data with its tokens; two gibibytes of caches and temporary files.
    facts = read_model(store, model)
    trained = 16 * sum(outputs + inputs for outputs, inputs in facts.adapted)
    data = sum(file.size for file in store.folder(dataset))
    disk = math.ceil(1.2 * (facts.size + 2 * (12 * trained + (1 << 20)))) + math.ceil(4.4 * data) + 2 * GIB
    assert size_of(resources["requests"]["ephemeral-storage"]) == pytest.approx(disk, abs=1 << 20)
    # The job lives on when its service has gone.
    assert there["metadata"].get("deletionTimestamp") is None


async def test_a_job_of_a_model_that_is_none_asks_for_little(
    place: Workplace, server: ApiServer, tmp_path: Path, store: Store
) -> None:
    folder = (await put_folder(store, "models", {"x": b""})).to_proto()
    service = serve(place, server, tmp_path, "train")
    try:
        ask = train_pb2.CreateTrainingJobRequest(spec=train_pb2.TrainingSpec(dataset=folder, base_model=folder))
        await service.call(STUB, "CreateTrainingJob", ask, train_pb2.TrainingJob)
    finally:
        service.terminate()
    (there,) = server.jobs.values()
    resources = there["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"] == {"ephemeral-storage": "2048Mi"}


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"nameSpace": "x"}, "nameSpace: Extra inputs are not permitted"),
        ({"namespace": "X"}, "namespace: "),
        ({"owner": {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone"}}, "owner: there is no ConfigMap 'gone'"),
    ],
)
def test_a_wrong_file_ends_it_by_name(
    place: Workplace, server: ApiServer, tmp_path: Path, cluster: dict[str, Any], words: str
) -> None:
    said = refused(place, server, tmp_path, "train", **cluster)
    assert f"setting BOOKMILL_TRAIN_CLUSTER_FILE ({str(tmp_path / 'cluster.yaml')!r}): {words}" in said
