"""`helm uninstall` leaves the volume and the credentials, with which the next release finds everything again."""

import pytest

from deploy.kind import release
from tests.support import e2e_release
from tests.support.e2e_cluster import eventually
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run, at_step

pytestmark = pytest.mark.faults


def test_what_is_left_and_what_comes_back(bookmill: Bookmill, chain: Run) -> None:
    cluster = bookmill.cluster
    name = cluster.settings.release
    token = bookmill.gateway.token
    # A training at work has an owner in the release and goes with it.
    run = bookmill.gateway.create(bookmill.spec(seed=61, steps=2000, checkpoint_steps=100))
    bookmill.gateway.until(run["name"], at_step(20), "step 20")
    release.helm(cluster.settings, "uninstall", name, "--wait", "--timeout=300s")
    left = eventually(lambda: _left(bookmill), lambda left: left == _KEPT, 180, f"removal of all but {_KEPT}")
    assert left == _KEPT

    e2e_release.install(cluster)
    opened = e2e_release.gateway(cluster)
    assert opened.token == token
    assert opened.summary(chain["run"])["files"] == chain["files"]
    # The run that was cut off goes on from its checkpoint, or from 0 where it had none.
    opened.until(run["name"], at_step(20), "step 20 again")
    opened.cancel(run["name"])
    opened.until(run["name"], lambda run: run.get("state") == "STATE_CANCELLED", "cancellation")
    opened.close()


_KEPT = {"persistentvolumeclaim/data-bookmill-store-0", "secret/bookmill-store", "secret/bookmill-token"}


def _left(bookmill: Bookmill) -> set[str]:
    """Lists what there is of the release, of every kind that a namespace can hold."""
    cluster = bookmill.cluster
    # Events tell of what was, and end points follow their Services.
    listed = ",".join(kind for kind in cluster.kinds() if not kind.startswith(("events", "endpoints")))
    found = cluster.kubectl(
        "get",
        listed,
        f"--selector=app.kubernetes.io/instance={cluster.settings.release}",
        "--output=name",
        "--ignore-not-found",
    )
    return set(found.split())
