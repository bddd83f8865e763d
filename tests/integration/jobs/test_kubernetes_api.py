"""What the launcher does when the Kubernetes API does not do what it is asked."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bookmill.v1 import object_pb2
from services.common.errors import BookmillError, Exhausted, NotFound, PermissionDenied, Refused, Unavailable
from services.common.storage import Store
from services.jobs.following import Jobs
from services.jobs.kubernetes import api
from services.jobs.kubernetes.api import Cluster
from services.jobs.kubernetes.launcher import KubernetesLauncher
from services.jobs.kubernetes.manifest import TRAINER
from services.jobs.kubernetes.needs import Needs
from services.jobs.kubernetes.settings import ClusterSettings, Owner
from services.jobs.records import JobRecords
from tests.support.api_server import ApiServer
from tests.support.cluster_objects import condition
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, fake_spec
from tests.support.waiting import eventually

SETTINGS = ClusterSettings.model_validate({"namespace": "books", "image": "i", "storeSecret": "s"})
OWNER = Owner.model_validate({"apiVersion": "v1", "kind": "ConfigMap", "name": "o"})
SPEC = fake_spec()
JOB = STEP.key(SPEC)
ORDER = KIND.order(JOB, SPEC)
AWAY = (503, "etcd is away")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    server = ApiServer()
    monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "config")))
    monkeypatch.setattr(api, "WAITS_SECONDS", (0.01, 0.01, 0.01))
    yield server
    server.stop()


@pytest.fixture
def cluster(server: ApiServer) -> Iterator[Cluster]:
    cluster = Cluster("books")
    yield cluster
    cluster.close()


@pytest.fixture
async def launcher(server: ApiServer, store: Store) -> AsyncIterator[KubernetesLauncher]:
    launcher = KubernetesLauncher(SETTINGS, TRAINER, lambda _: Needs(), KIND.id, JobRecords(store))
    await launcher.connect()
    yield launcher
    await launcher.close()


@pytest.fixture
def jobs(launcher: KubernetesLauncher, store: Store) -> Jobs[Any, Any]:
    return Jobs(KIND, store, launcher)


def body(name: str = "a", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"template": {"metadata": {}, "spec": {"containers": []}}},
    }


@pytest.mark.parametrize("answer", [AWAY, (500, "failed calling webhook"), (429, "slow down"), (401, "renew"), None])
def test_a_call_that_may_pass_is_made_again(cluster: Cluster, server: ApiServer, answer: Any) -> None:
    server.answers += [answer, answer]
    assert cluster.create_job(body())
    assert len(server.calls) == 3
    # An answer that was lost: the second call finds what the first made.
    assert not cluster.create_job(body())


@pytest.mark.parametrize(
    ("answer", "error", "reason", "calls"),
    [
        (AWAY, Unavailable, "CLUSTER_UNAVAILABLE", 4),
        (None, Unavailable, "CLUSTER_UNAVAILABLE", 4),
        ((401, "no such token"), PermissionDenied, "CLUSTER_FORBIDDEN", 4),
        ((403, "cannot list resource"), PermissionDenied, "CLUSTER_FORBIDDEN", 1),
        ((418, "a teapot"), Unavailable, "CLUSTER_UNAVAILABLE", 1),
    ],
)
def test_what_stays_is_said(
    cluster: Cluster, server: ApiServer, answer: Any, error: type[BookmillError], reason: str, calls: int
) -> None:
    asked = (
        lambda: cluster.job("a"),
        lambda: list(cluster.jobs({"a": "b"})),
        lambda: cluster.delete_job("a"),
        lambda: cluster.events(name="a"),
        lambda: cluster.uid(OWNER),
    )
    for call in asked:
        server.answers.clear()
        server.calls.clear()
        server.answers += [answer] * calls
        with pytest.raises(error, match=reason) as raised:
            call()
        assert len(server.calls) == calls
        if answer is not None:
            assert answer[1] in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ((403, "jobs.batch is forbidden: exceeded quota: q"), Exhausted, "TOO_MANY_JOBS"),
        ((403, 'User "u" cannot create resource "jobs"'), PermissionDenied, "CLUSTER_FORBIDDEN"),
        ((403, "denied by a policy of the cluster"), Refused, "JOB_REFUSED"),
        ((422, "spec.template: Invalid value"), Refused, "JOB_REFUSED"),
    ],
)
def test_a_job_that_is_not_taken_says_why(
    cluster: Cluster, server: ApiServer, answer: Any, error: type[BookmillError], reason: str
) -> None:
    server.answers.append(answer)
    with pytest.raises(error, match=reason):
        cluster.create_job(body())


def test_a_long_list_comes_in_pages(cluster: Cluster, server: ApiServer) -> None:
    names = [f"job-{n}" for n in range(5)]
    for name in names:
        cluster.create_job(body(name))
    server.calls.clear()
    assert [job["metadata"]["name"] for job in cluster.jobs({})] == names
    assert len(server.calls) == 3


def test_what_is_gone_is_no_error(cluster: Cluster) -> None:
    assert cluster.job("a") is None
    cluster.delete_job("a")
    with pytest.raises(NotFound, match="NO_SUCH_OWNER"):
        cluster.uid(OWNER)


def test_no_cluster_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Unavailable, match="NO_CLUSTER"):
        Cluster("books")


async def test_many_who_look_cost_one_look(launcher: KubernetesLauncher, server: ApiServer) -> None:
    await launcher.start(ORDER)
    await launcher.status(JOB)
    server.calls.clear()
    for _ in range(5):
        assert await launcher.status(JOB) is not None
    assert server.calls == []


async def test_a_job_is_replaced_when_the_one_before_is_gone(launcher: KubernetesLauncher, server: ApiServer) -> None:
    await launcher.start(ORDER)
    server.jobs[ORDER.name]["status"] = {"conditions": [condition("Complete")]}
    await launcher.start(ORDER)
    assert "deletionTimestamp" in server.jobs[ORDER.name]["metadata"]
    status = await launcher.status(JOB)
    assert status is not None
    assert status.reason == "STOPPING"
    await launcher.start(ORDER)  # changes nothing
    server.answers += [AWAY] * 8  # and an API that is away for a while neither
    del server.jobs[ORDER.name]

    async def made() -> bool:
        return (
            "deletionTimestamp" not in server.jobs.get(ORDER.name, {"metadata": {"deletionTimestamp": ""}})["metadata"]
        )

    await eventually(made, bool)


async def test_a_failure_is_told_and_not_kept(
    launcher: KubernetesLauncher, jobs: Jobs[Any, Any], server: ApiServer, store: Store
) -> None:
    made = await jobs.create(SPEC, False)
    failed = condition("Failed", "DeadlineExceeded")
    server.jobs[ORDER.name]["status"] = {"conditions": [failed]}
    view = await eventually(lambda: jobs.get(made.name), lambda view: view.final)
    assert view.reason is not None
    assert view.reason.reason == "DEADLINE"
    outcome = JobRecords(store).outcome(JOB)
    assert outcome is not None
    assert outcome.reason == "DEADLINE"
    # Deleted by its time to live, the Job is not made again: the outcome stands.
    del server.jobs[ORDER.name]
    assert (await jobs.get(made.name)).state == object_pb2.STATE_FAILED
    await jobs.resume()
    assert server.jobs == {}
    await jobs.create(SPEC, True)
    assert ORDER.name in server.jobs


async def test_a_job_that_vanished_is_made_again(jobs: Jobs[Any, Any], server: ApiServer) -> None:
    made = await jobs.create(SPEC, False)
    server.jobs.clear()
    await eventually(lambda: jobs.get(made.name), lambda _: ORDER.name in server.jobs)


async def test_a_job_that_is_refused_later_says_why(jobs: Jobs[Any, Any], server: ApiServer) -> None:
    made = await jobs.create(SPEC, False)
    server.jobs.clear()

    async def look() -> Any:
        server.answers.clear()
        server.jobs.clear()
        # Of the look, of the question whether it is there, and of the attempt.
        server.answers += [(404, "gone"), (404, "gone"), (403, "exceeded quota: q")]
        return await jobs.get(made.name)

    view = await eventually(look, lambda view: view.reason is not None)
    assert (view.state, view.reason.reason) == (object_pb2.STATE_PENDING, "TOO_MANY_JOBS")


@pytest.mark.parametrize("request_", ["", "{", "[]", '{"unknown": 1}', '{"dataset": {}}'])
async def test_what_is_no_job_of_ours_is_not_found(
    jobs: Jobs[Any, Any], cluster: Cluster, server: ApiServer, request_: str
) -> None:
    strange = body(ORDER.name)
    strange["spec"]["template"]["metadata"]["annotations"] = {"bookmill.dev/request": request_}
    cluster.create_job(strange)
    with pytest.raises(NotFound, match="NO_SUCH_JOB"):
        await jobs.get(KIND.name(JOB))
    assert (await jobs.page(0, ""))[0] == []
