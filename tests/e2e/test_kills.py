"""Every service's pod is killed in turn during a run, and the store's; the run finishes, and nothing shows."""

import pytest

from tests.support.chain import digests
from tests.support.e2e_cluster import eventually
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import at_stage, at_step

pytestmark = pytest.mark.faults

KILLED = ("ingest", "clean", "chunk", "gateway", "train", "store")


def test_a_run_outlives_every_pod(bookmill: Bookmill, reference: Reference) -> None:
    spec = bookmill.spec(seed=41, steps=600, checkpoint_steps=50)
    run = bookmill.gateway.create(spec)
    bookmill.gateway.until(run["name"], at_step(20), "step 20")
    for component in KILLED:
        _kill(bookmill, component)
    bookmill.gateway.until(run["name"], at_stage("export"), "export")
    _kill(bookmill, "export")
    summary = bookmill.gateway.finished(run["name"], 600)
    assert digests(summary) == reference.digests(spec)


def test_books_that_are_on_their_way(bookmill: Bookmill) -> None:
    """Ingest, clean and chunk are killed while they are at work on new books; all books arrive."""
    tale = "The lamp went out, and the sea came in by the door that nobody had closed. " * 12
    books = [
        {
            "uri": bookmill.gateway.upload(f"Tale {n}\n\n{f'It was night {n}. '}{tale}\n\n{tale}".encode()),
            "title": f"Tale {n}",
        }
        for n in range(40)
    ]
    spec = {**bookmill.spec(seed=42, steps=4), "topic": "", "books": books}
    run = bookmill.gateway.create(spec)
    for stage, component in (("fetch", "ingest"), ("clean", "clean"), ("chunk", "chunk")):
        bookmill.gateway.until(run["name"], at_stage(stage), stage)
        _kill(bookmill, component, wait=False)
    summary = bookmill.gateway.finished(run["name"])
    # Texts that are nearly the same are kept: only equal chunks are taken out.
    assert len(summary["books"]) == len(books), summary["refusals"]


def _kill(bookmill: Bookmill, component: str, wait: bool = True) -> None:
    before = {pod["metadata"]["uid"] for pod in bookmill.cluster.pods(component)}
    assert before, component
    names = [pod["metadata"]["name"] for pod in bookmill.cluster.pods(component)]
    bookmill.cluster.kubectl("delete", "pod", *names, "--force", "--grace-period=0", "--wait=false")
    if not wait:
        return

    def ready() -> bool:
        pods = bookmill.cluster.pods(component)
        conditions = [c for pod in pods for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
        return (
            len(pods) >= len(before)
            and not before & {pod["metadata"]["uid"] for pod in pods}
            and all(c["status"] == "True" for c in conditions)
            and len(conditions) == len(pods)
        )

    eventually(ready, bool, 120, f"new pods of {component}")
