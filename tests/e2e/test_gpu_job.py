"""A training is a Job that asks for exactly one GPU, and waits while another holds it."""

import pytest

from tests.support.e2e_cluster import eventually
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import at_stage, reason

pytestmark = pytest.mark.faults


def test_it_waits_for_the_one_gpu(bookmill: Bookmill) -> None:
    with bookmill.holding_gpus():
        run = bookmill.gateway.create(bookmill.spec(seed=31, steps=10))
        bookmill.gateway.until(run["name"], at_stage("train"), "training")
        (pod,) = eventually(lambda: bookmill.cluster.pods("trainer")[-1:], bool, 60, "pod of the training")
        job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
        told = eventually(
            lambda: bookmill.training(f"trainingJobs/{job}"),
            lambda found: found.get("reason", {}).get("reason") == "UNSCHEDULABLE",
            60,
            "UNSCHEDULABLE",
        )
        assert told["state"] == "STATE_PENDING"
        assert "Insufficient nvidia.com/gpu" in told["reason"]["message"]
        bookmill.gateway.until(run["name"], lambda run: reason(run, "train") == "UNSCHEDULABLE", "reason in the run")
    bookmill.gateway.finished(run["name"])
    assert len(bookmill.cluster.pods_of_job(job)) == 1


def test_two_trainings_take_turns(bookmill: Bookmill) -> None:
    runs = [bookmill.gateway.create(bookmill.spec(seed=seed, steps=10))["name"] for seed in (32, 33)]
    at_work: set[int] = set()

    def watched(run: dict[str, object]) -> bool:
        at_work.add(sum(pod["status"].get("phase") == "Running" for pod in bookmill.cluster.pods("trainer")))
        return run.get("state") == "STATE_SUCCEEDED"

    for run in runs:
        bookmill.gateway.until(run, watched, "success")
    assert at_work == {0, 1}
