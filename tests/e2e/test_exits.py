"""What the trainer's exit codes do to its Job: 42 to 45 fail it at once, and only `retry` replaces it."""

import pytest

from tests.support.e2e_cluster import Object, eventually
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(
    ("code", "reason"),
    [(42, "BAD_CONFIGURATION"), (43, "OUT_OF_MEMORY"), (44, "NOT_FINITE"), (45, "NO_PROGRESS")],
)
def test_some_codes_fail_at_once(bookmill: Bookmill, chain: Run, code: int, reason: str) -> None:
    spec = bookmill.training_spec(chain, seed=100 + code)
    name = _made_by_hand(bookmill, spec, f"raise SystemExit({code})")
    failed = eventually(
        lambda: bookmill.cluster.get("job", name).get("status", {}),
        lambda status: any(c["type"] == "Failed" and c["status"] == "True" for c in status.get("conditions", ())),
        60,
        "failure of the Job",
    )
    assert failed["failed"] == 1
    (condition,) = [c for c in failed["conditions"] if c["type"] == "Failed"]
    assert condition["reason"] == "PodFailurePolicy"
    told = _told(bookmill, spec)
    assert (told["state"], told["reason"]["reason"]) == ("STATE_FAILED", reason)


def test_a_failed_job_is_replaced_only_when_asked(bookmill: Bookmill, chain: Run) -> None:
    """A value that the program refuses: the real 42; then the Job is made by hand again, and asked for with `retry`."""
    spec = bookmill.training_spec(chain, seed=151, lora_rank=1024, max_steps=4)
    bookmill.response("train", "TrainService/CreateTrainingJob", {"spec": spec})
    told = eventually(
        lambda: _told(bookmill, spec), lambda job: job["state"] == "STATE_FAILED", 120, "failure of the training"
    )
    assert told["reason"]["reason"] == "BAD_HYPERPARAMETER"
    assert "1024" in told["reason"]["message"]
    first = bookmill.cluster.get("job", _name(told))
    again = bookmill.response("train", "TrainService/CreateTrainingJob", {"spec": spec})
    assert again["state"] == "STATE_FAILED"
    assert bookmill.cluster.get("job", _name(told))["metadata"]["uid"] == first["metadata"]["uid"]
    bookmill.response("train", "TrainService/CreateTrainingJob", {"spec": spec, "retry": True})
    eventually(
        lambda: bookmill.cluster.find("job", _name(told)),
        lambda job: job is not None and job["metadata"]["uid"] != first["metadata"]["uid"],
        90,
        "another Job of the same name",
    )


def test_a_job_made_by_hand_is_followed_like_any_other(bookmill: Bookmill, chain: Run) -> None:
    spec = bookmill.training_spec(chain, seed=152, max_steps=4)
    name = _made_by_hand(bookmill, spec)
    listed = bookmill.response("train", "TrainService/ListTrainingJobs", {"page_size": 100})["jobs"]
    assert f"trainingJobs/{name}" in {job["name"] for job in listed}
    done = eventually(
        lambda: _told(bookmill, spec), lambda job: job["state"] not in {"STATE_PENDING", "STATE_RUNNING"}, 180, "end"
    )
    assert done["state"] == "STATE_SUCCEEDED", done
    made = bookmill.response("train", "TrainService/CreateTrainingJob", {"spec": spec})
    assert made["result"] == done["result"]


def _made_by_hand(bookmill: Bookmill, spec: Object, program: str = "") -> str:
    """Makes the Job of a training with kubectl, or one in its name that runs another program; gives its name."""
    job = bookmill.manifest(spec)
    if program:
        job["spec"]["template"]["spec"]["containers"][0]["command"] = ["python", "-c", program]
    bookmill.cluster.delete("job", job["metadata"]["name"])
    bookmill.cluster.create(job)
    return str(job["metadata"]["name"])


def _told(bookmill: Bookmill, spec: Object) -> Object:
    request = {"spec": spec, "validate_only": True}
    name = bookmill.response("train", "TrainService/CreateTrainingJob", request)["name"]
    return bookmill.training(name)


def _name(job: Object) -> str:
    return str(job["name"]).removeprefix("trainingJobs/")
