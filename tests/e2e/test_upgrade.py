"""`helm upgrade` in the middle of a run loses nothing, and neither does the way back."""

import json

import pytest

from deploy.kind import release
from tests.support import e2e_release
from tests.support.chain import digests
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run, at_step

pytestmark = pytest.mark.faults


def test_upgrade_and_rollback(bookmill: Bookmill, chain: Run, reference: Reference) -> None:
    cluster = bookmill.cluster
    secrets = cluster.secrets()
    revision = _revision(bookmill)
    spec = bookmill.spec(seed=51, steps=500, checkpoint_steps=50)
    run = bookmill.gateway.create(spec)
    bookmill.gateway.until(run["name"], at_step(20), "step 20")
    before = _trainings(bookmill)
    # A label on every pod replaces them all, the store's too, and changes what a new Job would be like.
    e2e_release.install(cluster, "--set=commonLabels.changed=yes")
    assert cluster.get("pod", cluster.pod("gateway"))["metadata"]["labels"]["changed"] == "yes"
    summary = bookmill.gateway.finished(run["name"], 600)
    assert digests(summary) == reference.digests(spec)
    # The store was replaced too: a trainer that could not write goes on in another pod, of the same Job.
    assert _trainings(bookmill) == before, "a second training was started"

    release.helm(cluster.settings, "rollback", cluster.settings.release, str(revision), "--wait", "--timeout=300s")
    assert "changed" not in cluster.get("pod", cluster.pod("gateway"))["metadata"]["labels"]
    assert cluster.secrets() == secrets
    for known in (chain, summary):
        assert bookmill.gateway.summary(known["run"])["files"] == known["files"]
    again = bookmill.gateway.create(bookmill.spec(seed=51, steps=500, checkpoint_steps=50))
    assert digests(bookmill.gateway.finished(again["name"])) == digests(summary)


def _trainings(bookmill: Bookmill) -> dict[str, str]:
    jobs = bookmill.cluster.get("jobs", "--selector=app.kubernetes.io/component=trainer")
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs}


def _revision(bookmill: Bookmill) -> int:
    listed = json.loads(release.helm(bookmill.cluster.settings, "list", "--output=json"))
    return int(next(item["revision"] for item in listed if item["name"] == bookmill.cluster.settings.release))
