import json

import pytest

from bookmill.v1 import object_pb2
from services.common.errors import NotFound
from services.jobs.kinds import JobView
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, fake_spec


def test_a_job_is_named_from_its_specification() -> None:
    spec = fake_spec()
    job = STEP.key(spec)
    name = KIND.name(job)
    assert name == f"trainingJobs/train-{job[:20]}"
    assert KIND.digits(name) == job[:20]
    order = KIND.order(job, spec)
    assert (order.job, order.name, order.program) == (job, f"train-{job[:20]}", "tests.support.fake_job")
    assert json.loads(order.request)["hyperparameters"]["max_steps"] == 4
    assert KIND.name(STEP.key(fake_spec(seed=2))) != name


@pytest.mark.parametrize(
    "name", ["", "x", "trainingJobs/", "trainingJobs/train-" + "g" * 20, "trainingJobs/train-0/../x"]
)
def test_another_name_is_no_job(name: str) -> None:
    with pytest.raises(NotFound, match="NO_SUCH_JOB"):
        KIND.digits(name)


@pytest.mark.parametrize(
    ("state", "final"),
    [
        (object_pb2.STATE_PENDING, False),
        (object_pb2.STATE_RUNNING, False),
        (object_pb2.STATE_CANCELLING, False),
        (object_pb2.STATE_SUCCEEDED, True),
        (object_pb2.STATE_FAILED, True),
        (object_pb2.STATE_CANCELLED, True),
    ],
)
def test_which_states_are_final(state: object_pb2.State.ValueType, final: bool) -> None:
    assert JobView(KIND.name("0" * 64), fake_spec(), state).final is final
