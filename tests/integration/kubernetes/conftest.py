"""Fixtures on a kind cluster that is named by BOOKMILL_TEST_KIND; tests skip where it is not set."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.storage import Store
from services.jobs.following import Jobs
from services.jobs.kubernetes.launcher import KubernetesLauncher
from services.jobs.kubernetes.manifest import TRAINER
from services.jobs.kubernetes.needs import Needs
from services.jobs.records import JobRecords
from tests.support.fake_jobs import KIND
from tests.support.kind import Namespace, load_image, run


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cluster = os.environ.get("BOOKMILL_TEST_KIND")
    if not cluster:
        pytest.skip("no cluster: BOOKMILL_TEST_KIND names one of kind")
    folder = tmp_path_factory.mktemp("kind")
    load_image(cluster, folder)
    path = folder / "kubeconfig"
    path.write_text(run("kind", "get", "kubeconfig", "--name", cluster))
    return path


@pytest.fixture(scope="session")
def namespace(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    namespace = Namespace.create(f"jobs-{os.getpid()}", kubeconfig, tmp_path_factory.mktemp("namespace"))
    yield namespace
    namespace.kubectl("delete", "namespace", namespace.name, "--wait=false")


@pytest.fixture
async def launchers(
    namespace: Namespace, store: Store, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """Makes connected launchers, which have the rights of a service; settings of the cluster may differ."""
    monkeypatch.setenv("KUBECONFIG", str(namespace.service))
    made: list[KubernetesLauncher] = []

    async def make(**settings: Any) -> KubernetesLauncher:
        given = namespace.settings(**settings)
        launcher = KubernetesLauncher(given, TRAINER, lambda _: Needs(), KIND.id, JobRecords(store))
        await launcher.connect()
        made.append(launcher)
        return launcher

    yield make
    for launcher in made:
        await launcher.close()


@pytest.fixture
async def jobs(launchers: Callable[..., Any], store: Store) -> Callable[..., Any]:
    """Makes what a service follows its jobs with."""

    async def make(**settings: Any) -> Jobs[Any, Any]:
        return Jobs(KIND, store, await launchers(**settings))

    return make
