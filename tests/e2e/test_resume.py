"""A training that loses its pod goes on from its checkpoint, and ends as if nothing had been."""

import re
from collections.abc import Callable, Iterator

import pytest

from deploy.kind import cluster as kind
from tests.support.chain import digests
from tests.support.e2e_cluster import Cluster, eventually
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import at_step

STEPS = 300
KILLED_AT = 60
CHECKPOINT_STEPS = 20


def test_a_deleted_pod(bookmill: Bookmill, reference: Reference) -> None:
    """`kubectl delete pod`: the trainer gets SIGTERM and its grace period, and saves the very step that it is at."""
    resumed = _interrupted(bookmill, reference, 21, lambda pod: _delete(bookmill.cluster, pod))
    assert resumed >= KILLED_AT


@pytest.mark.faults
def test_a_killed_pod(bookmill: Bookmill, reference: Reference) -> None:
    """Without a grace period nothing is saved, and the newest checkpoint is what it goes on from."""
    resumed = _interrupted(
        bookmill, reference, 22, lambda pod: _delete(bookmill.cluster, pod, "--force", "--grace-period=0")
    )
    assert resumed >= KILLED_AT - CHECKPOINT_STEPS


@pytest.mark.faults
def test_a_cancelled_run(bookmill: Bookmill, reference: Reference) -> None:
    """The Job goes, with its grace period; the same run made again finds what the training saved meanwhile."""
    spec = bookmill.spec(seed=24, steps=STEPS, checkpoint_steps=CHECKPOINT_STEPS)
    run = bookmill.gateway.create(spec)
    bookmill.gateway.until(run["name"], at_step(KILLED_AT), f"step {KILLED_AT}")
    pod = bookmill.cluster.pod("trainer")
    job = _job(bookmill.cluster, pod)
    bookmill.gateway.cancel(run["name"])
    bookmill.gateway.until(run["name"], lambda run: run.get("state") == "STATE_CANCELLED", "cancellation")
    eventually(lambda: bookmill.cluster.find("job", job), lambda found: found is None, 120, f"end of {job}")
    again = bookmill.gateway.create(spec)
    assert digests(bookmill.gateway.finished(again["name"])) == reference.digests(spec)
    assert _resumed_from(bookmill.cluster, job, pod) >= KILLED_AT


@pytest.fixture
def second_gpu(bookmill: Bookmill) -> Iterator[str]:
    """A GPU on the other worker too, while a test needs it."""
    settings = bookmill.cluster.settings
    (node,) = kind.nodes(settings, "bookmill.dev/for=store")
    kind.give_gpu(settings, node)
    yield node
    kind.give_gpu(settings, node, 0)


@pytest.mark.faults
def test_a_drained_node(bookmill: Bookmill, reference: Reference, second_gpu: str) -> None:
    """The store is on the other node, where the training goes on."""
    cluster = bookmill.cluster
    (drained,) = kind.nodes(cluster.settings, kind.GPU_NODE)
    kind.kubectl(cluster.settings, "cordon", second_gpu)
    try:

        def drain(pod: str) -> None:
            assert cluster.get("pod", pod)["spec"]["nodeName"] == drained
            kind.kubectl(cluster.settings, "uncordon", second_gpu)
            options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
            kind.kubectl(cluster.settings, "drain", drained, *options, timeout=330)

        resumed = _interrupted(bookmill, reference, 23, drain)
        assert cluster.pods("trainer")[-1]["spec"]["nodeName"] == second_gpu
        assert resumed >= KILLED_AT
    finally:
        kind.kubectl(cluster.settings, "uncordon", drained, second_gpu)
    cluster.rolled_out()


def _interrupted(bookmill: Bookmill, reference: Reference, seed: int, interrupt: Callable[[str], None]) -> int:
    """Makes a run, interrupts its training once, and gives the step that it went on from."""
    spec = bookmill.spec(seed=seed, steps=STEPS, checkpoint_steps=CHECKPOINT_STEPS)
    run = bookmill.gateway.create(spec)
    bookmill.gateway.until(run["name"], at_step(KILLED_AT), f"step {KILLED_AT}")
    pod = bookmill.cluster.pod("trainer")
    job = _job(bookmill.cluster, pod)
    used = bookmill.cluster.python_in(pod, "memory")
    bookmill.measured["memory of the trainer at most, MiB"] = used["peak"] / (1 << 20)
    interrupt(pod)
    summary = bookmill.gateway.finished(run["name"])
    assert digests(summary) == reference.digests(spec)
    return _resumed_from(bookmill.cluster, job, pod)


def _job(cluster: Cluster, pod: str) -> str:
    return str(cluster.get("pod", pod)["metadata"]["labels"]["batch.kubernetes.io/job-name"])


def _resumed_from(cluster: Cluster, job: str, first: str) -> int:
    pods = [pod["metadata"]["name"] for pod in cluster.pods_of_job(job) if pod["metadata"]["name"] != first]
    assert len(pods) == 1, pods
    found = re.search(r"goes on from step (\d+)", cluster.kubectl("logs", pods[0]))
    assert found, "the second pod did not go on from a checkpoint"
    return int(found[1])


def _delete(cluster: Cluster, pod: str, *how: str) -> None:
    cluster.kubectl("delete", "pod", pod, "--wait=false", *how)
    eventually(lambda: cluster.find("pod", pod), lambda found: found is None, 120, f"end of {pod}")
