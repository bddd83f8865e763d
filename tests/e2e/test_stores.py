"""Stores other than the MinIO of the chart, SeaweedFS and one that the release does not bring, hold the same bytes."""

from collections.abc import Iterator

import pytest

from deploy.kind import cluster as kind
from tests.support import e2e_release
from tests.support.chain import digests
from tests.support.e2e_cluster import Cluster, Object
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run
from tests.support.e2e_servers import server

pytestmark = pytest.mark.faults


@pytest.fixture
def seaweedfs(bookmill: Bookmill) -> Iterator[Cluster]:
    """A second release, on SeaweedFS."""
    settings = bookmill.cluster.settings
    kind.load_images(settings, [settings.image("seaweedfs")])
    store = "objectStore.bundled"
    # The chart's own image of the flavor, in place of the MinIO that was loaded.
    arguments = (
        f"--set={store}.flavor=seaweedfs",
        f"--set={store}.image.repository=",
        f"--set-string={store}.image.tag=",
    )
    catalogue = e2e_release.catalogue(bookmill.cluster)
    with e2e_release.second(bookmill.cluster, "bookmill-weed", *arguments, beside=catalogue) as cluster:
        yield cluster


@pytest.fixture
def external(bookmill: Bookmill) -> Iterator[Cluster]:
    """A second release, on a store that was there before it and has no bucket yet."""
    store = "--set=objectStore"
    arguments = (
        f"{store}.mode=external",
        f"{store}.bucket=books",
        f"{store}.existingSecret=s3-keys",
        f"{store}.external.endpoint=s3:9000",
        f"{store}.external.secure=false",
        f"{store}.external.to[0].podSelector.matchLabels.app=s3",
    )
    beside = [*e2e_release.catalogue(bookmill.cluster), *_server(bookmill.cluster.image_of("MINIO_IMAGE"))]
    with e2e_release.second(bookmill.cluster, "bookmill-external", *arguments, beside=beside) as cluster:
        yield cluster


@pytest.mark.parametrize("store", ["seaweedfs", "external"])
def test_it_holds_the_same_bytes(
    bookmill: Bookmill, chain: Run, model_archive: bytes, store: str, request: pytest.FixtureRequest
) -> None:
    cluster: Cluster = request.getfixturevalue(store)
    with e2e_release.forwarded(cluster) as gateway:
        assert gateway.upload(model_archive) == bookmill.model
        run = gateway.create(bookmill.spec())
        summary = gateway.finished(run["name"])
        assert summary["verified"], summary["not_verified"]
        assert digests(summary) == digests(chain)
        # A pod that comes anew finds all of it.
        cluster.kubectl("rollout", "restart", "deployment", f"{cluster.settings.release}-gateway")
        cluster.rolled_out()
    with e2e_release.forwarded(cluster) as gateway:
        assert gateway.summary(run["name"]) == summary


def _server(image: str) -> list[Object]:
    keys = {"access_key": "a-key-of-its-own", "secret_key": "a-secret-of-its-own"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3-keys"}, "stringData": keys}
    files = {"MINIO_ROOT_USER_FILE": "/keys/access_key", "MINIO_ROOT_PASSWORD_FILE": "/keys/secret_key"}
    minio = server(
        *("s3", image, 9000, "/minio/health/ready"),
        data="/data",
        arguments=["server", "/data"],
        environment=files,
        secrets={"/keys": "s3-keys"},
    )
    return [secret, *minio]
