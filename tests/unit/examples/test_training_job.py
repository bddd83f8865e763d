from pathlib import Path

import yaml
from google.protobuf.json_format import Parse

from bookmill.v1.train_pb2 import TrainingSpec
from deploy.examples.training_job import CLUSTER, SPEC, example
from services.jobs.kubernetes.manifest import REQUEST
from services.train.training_jobs import TRAINING, complete

FILE = Path(__file__).resolve().parents[3] / "deploy/examples/training-job.yaml"


def test_the_example_is_what_the_service_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == example(), (
        "run `python -m deploy.examples.training_job > deploy/examples/training-job.yaml`"
    )


def test_its_name_is_that_of_its_request() -> None:
    job = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    request = job["spec"]["template"]["metadata"]["annotations"][REQUEST]
    spec = Parse(request, TrainingSpec())
    assert spec == complete(spec) == SPEC
    assert job["metadata"]["name"] == TRAINING.id(TRAINING.step.key(spec))
    assert job["metadata"]["namespace"] == CLUSTER.namespace
