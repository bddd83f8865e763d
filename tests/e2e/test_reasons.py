"""What is wrong with a cluster has a reason: keys that the store refuses, a full store, an image that is missing."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support import e2e_release
from tests.support.e2e_cluster import Cluster, Object, eventually
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run

pytestmark = pytest.mark.faults


def test_a_missing_image(bookmill: Bookmill, chain: Run) -> None:
    spec = bookmill.training_spec(chain, seed=201)

    def change(job: Object) -> None:
        job["spec"]["template"]["spec"]["containers"][0]["image"] = "bookmill/not-there:dev"

    name = _made_by_hand(bookmill, spec, change)
    told = _until_reason(bookmill, name, "IMAGE_PULL_FAILED")
    assert told["state"] == "STATE_PENDING"
    assert "not-there" in told["reason"]["message"]
    bookmill.response("train", "TrainService/CancelTrainingJob", {"name": f"trainingJobs/{name}"})
    eventually(lambda: bookmill.cluster.find("job", name), lambda job: job is None, 120, "removal of the Job")


def test_wrong_credentials(bookmill: Bookmill, chain: Run) -> None:
    secret = {"access_key": "bookmill-but-wrong", "secret_key": "not-the-secret-key"}
    bookmill.cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": secret, "type": "Opaque"}
    )
    spec = bookmill.training_spec(chain, seed=202)

    def change(job: Object) -> None:
        for volume in job["spec"]["template"]["spec"]["volumes"]:
            if volume["name"] == "store":
                volume["projected"]["sources"][0]["secret"]["name"] = "wrong"

    name = _made_by_hand(bookmill, spec, change)
    _until_reason(bookmill, name, "STORE_FORBIDDEN")
    told = eventually(
        lambda: bookmill.training(f"trainingJobs/{name}"), lambda job: job["state"] == "STATE_FAILED", 60, "failure"
    )
    assert told["reason"]["reason"] == "STORE_FORBIDDEN"
    assert "check its access and secret key" in told["reason"]["message"]
    assert len(bookmill.cluster.pods_of_job(name)) == 1
    for value in secret.values():
        assert value not in json.dumps(told)
    bookmill.cluster.delete("job", name)
    bookmill.cluster.delete("secret", "wrong")


@pytest.fixture
def small(bookmill: Bookmill) -> Iterator[Cluster]:
    """A second release, whose store is in memory and takes 64 MiB."""
    store = "--set=objectStore.bundled"
    with e2e_release.second(bookmill.cluster, "small", f"{store}.inMemory=true", f"{store}.size=64Mi") as cluster:
        yield cluster


def test_a_full_store(small: Cluster) -> None:
    """Uploads go in until there is no more room; the refusal says so, and what was there before can still be read."""
    gateway = small.pod("gateway")
    told = json.loads(small.run_in(gateway, "python", "-c", _FILL, timeout=280))
    assert told["first"] == 201
    assert told["status"] == 507, told
    assert told["error"]["reason"] == "STORE_FULL"
    assert told["again"] == 200
    assert told["run"]["status"] in {200, 507}, told
    assert told["ready"] == 200
    # Nothing falls over.
    ready = small.get("pod", gateway)["status"]["containerStatuses"][0]
    assert (ready["ready"], ready["restartCount"]) == (True, 0)


_FILL = """
import hashlib, json, os, pathlib, urllib.error, urllib.request

token = pathlib.Path("/etc/bookmill/token/token").read_text().strip()

def ask(method, path, body, kind="application/octet-stream"):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    request = urllib.request.Request("http://127.0.0.1:8080" + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

def put(data):
    return ask("PUT", "/v1/uploads/" + hashlib.sha256(data).hexdigest(), data)

small = b"It was night. " * 1000
first, _ = put(small)
for number in range(40):
    status, answer = put(os.urandom(8 << 20))
    if status not in (200, 201):
        break
again, _ = put(small)
spec = {"topic": "horror", "base_model": "hf:example/model"}
code, run = ask("POST", "/v1/runs", json.dumps({"spec": spec}).encode(), "application/json")
ready, _ = ask("GET", "/readyz", None)
told = {"first": first, "status": status, "error": answer.get("error"), "again": again, "ready": ready}
print(json.dumps({**told, "run": {"status": code, **run}}))
"""


def _made_by_hand(bookmill: Bookmill, spec: Object, change: Callable[[Object], None]) -> str:
    job = bookmill.manifest(spec)
    change(job)
    bookmill.cluster.create(job)
    return str(job["metadata"]["name"])


def _until_reason(bookmill: Bookmill, name: str, reason: str) -> Object:
    return eventually(
        lambda: bookmill.call("train", "TrainService/GetTrainingJob", {"name": f"trainingJobs/{name}"}).get(
            "response", {}
        ),
        lambda job: job.get("reason", {}).get("reason") == reason,
        120,
        reason,
    )
