"""With a queue of Kueue, a Job waits suspended; one that is suspended in the middle goes on from its checkpoint."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.kind import cluster as kind
from tests.support import e2e_release
from tests.support.chain import digests
from tests.support.e2e_cluster import Cluster, Object, eventually
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import at_stage, at_step, reason

pytestmark = pytest.mark.faults

QUEUE = "trainings"
CHART = "cluster/kueue-0.15.2.tgz"
_PLENTY = {"cpu": "100", "memory": "100Gi", "ephemeral-storage": "1000Gi"}


@pytest.fixture(scope="module")
def queue(bookmill: Bookmill, shared: Path) -> Iterator[str]:
    """Kueue, and a queue without a GPU; the release's trainings go through it."""
    chart = shared / CHART
    if not chart.is_file():
        pytest.skip(f"no Kueue: ../shared/{CHART} is not there")
    cluster = bookmill.cluster
    _install(cluster, chart, cluster.image_of("KUEUE_IMAGE"))
    _quota(cluster, gpus=0)
    e2e_release.install(cluster, f"--set=trainer.queueName={QUEUE}")
    yield QUEUE
    e2e_release.install(cluster)
    for kinds, name in (("localqueue", QUEUE), ("clusterqueue", QUEUE), ("resourceflavor", QUEUE)):
        cluster.delete(kinds, name)
    kind.run((*_helm(cluster), "uninstall", "kueue", "--wait"))


def test_a_suspended_job_resumes(bookmill: Bookmill, reference: Reference, queue: str) -> None:
    cluster = bookmill.cluster
    spec = bookmill.spec(seed=71, steps=300, checkpoint_steps=20)
    run = bookmill.gateway.create(spec)
    bookmill.gateway.until(run["name"], at_stage("train"), "training")
    bookmill.gateway.until(run["name"], lambda run: reason(run, "train") == "QUEUED", "QUEUED")
    (job,) = [
        job for job in cluster.get("jobs", f"--selector=kueue.x-k8s.io/queue-name={queue}") if job["spec"]["suspend"]
    ]
    assert cluster.pods_of_job(job["metadata"]["name"]) == []

    _quota(cluster, gpus=1)
    bookmill.gateway.until(run["name"], at_step(60), "step 60")
    first = cluster.pod("trainer")
    _quota(cluster, gpus=1, stopped="HoldAndDrain")
    eventually(
        lambda: cluster.find("pod", first), lambda pod: pod is None or _is_over(pod), 120, "end of the first pod"
    )
    bookmill.gateway.until(run["name"], lambda run: reason(run, "train") in {"QUEUED", "PREEMPTED"}, "suspension")
    _quota(cluster, gpus=1)
    summary = bookmill.gateway.finished(run["name"])
    assert digests(summary) == reference.digests(spec)
    last = cluster.pods_of_job(job["metadata"]["name"])[-1]["metadata"]["name"]
    found = re.search(r"goes on from step (\d+)", cluster.kubectl("logs", last))
    assert found
    assert int(found[1]) >= 60


def _is_over(pod: Object) -> bool:
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def _helm(cluster: Cluster) -> tuple[str, ...]:
    return ("helm", f"--kube-context={cluster.settings.context}", "--namespace=kueue-system")


def _install(cluster: Cluster, chart: Path, image: str) -> None:
    repository, _, tag = image.rpartition(":")
    manager = "controllerManager.manager"
    kind.run(
        (
            *_helm(cluster),
            *("upgrade", "--install", "kueue", str(chart), "--create-namespace", "--wait", "--timeout=300s"),
            f"--set={manager}.image.repository={repository}",
            f"--set-string={manager}.image.tag={tag}",
            f"--set={manager}.image.pullPolicy=IfNotPresent",
            f"--set={manager}.resources.requests.cpu=50m",
        )
    )


def _quota(cluster: Cluster, gpus: int, stopped: str = "None") -> None:
    """Makes or changes the queue; its webhook may not answer in the first seconds."""
    quotas = [{"name": name, "nominalQuota": quota} for name, quota in {**_PLENTY, "nvidia.com/gpu": str(gpus)}.items()]
    group = {"coveredResources": [q["name"] for q in quotas], "flavors": [{"name": QUEUE, "resources": quotas}]}
    spec = {"namespaceSelector": {}, "resourceGroups": [group], "stopPolicy": stopped}
    objects = [
        _object("ResourceFlavor", {}),
        _object("ClusterQueue", spec),
        {**_object("LocalQueue", {"clusterQueue": QUEUE}), "metadata": {"name": QUEUE, "namespace": cluster.namespace}},
    ]

    def applied() -> bool:
        try:
            cluster.apply(*objects)
        except kind.Failed:
            return False
        return True

    eventually(applied, bool, 60, "queue that Kueue takes")


def _object(name: str, spec: dict[str, Any]) -> Object:
    return {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": name, "metadata": {"name": QUEUE}, "spec": spec}
