"""One cluster, one release and one base model for all end-to-end tests; removed at the end unless `--keep` is given."""

import shutil
import time
from collections.abc import Iterator

import pytest

from deploy.kind import cluster as kind
from deploy.kind import release
from deploy.kind.settings import IMAGES, SERVICES, Settings
from tests.support import e2e_release
from tests.support.e2e_cluster import Cluster
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run, archive
from tests.support.tiny_model import build_tiny_model

_PROGRAMS = ("docker", "kind", "kubectl", "helm")
_measured: dict[str, float] = {}
_tables: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="leave the cluster there, to look around")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1200))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _measured:
        terminalreporter.section("measured")
        for what, value in _measured.items():
            terminalreporter.write_line(f"{what}: {value:,.1f}")
    for table in _tables:
        terminalreporter.section("table")
        terminalreporter.write_line(table)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A kind cluster with the images in it. One that is there already is used, and stays."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no cluster: {', '.join(missing)} not on PATH")
    settings = Settings()
    try:
        kind.run(("docker", "info"))
    except kind.Failed:
        pytest.skip("no cluster: the Docker engine does not answer")
    for name in IMAGES:
        try:
            kind.run(("docker", "image", "inspect", settings.image(name)))
        except kind.Failed:
            pytest.skip(f"no image {settings.image(name)}: run `make kind-images`")
    there = kind.exists(settings)
    began = time.monotonic()
    kind.create(settings)
    _measured["cluster, seconds"] = time.monotonic() - began
    began = time.monotonic()
    if kind.load(settings) and release.exists(settings):
        release.restart(settings)
    _measured["images loaded, seconds"] = time.monotonic() - began
    yield Cluster(settings)
    if not there and not request.config.getoption("--keep"):
        kind.delete(settings)


@pytest.fixture(scope="session")
def model_archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tiny base model, as a user uploads one."""
    folder = tmp_path_factory.mktemp("model") / "tiny-model"
    build_tiny_model(folder)
    return archive(folder)


@pytest.fixture(scope="session")
def bookmill(cluster: Cluster, model_archive: bytes) -> Iterator[Bookmill]:
    """The release, ready, with the base model uploaded."""
    _measured["install to ready, seconds"] = e2e_release.install(cluster)
    gateway = e2e_release.gateway(cluster)
    for component in SERVICES:
        used = cluster.python_in(cluster.pod(component), "memory")
        _measured[f"memory of {component} before a run, MiB"] = used["now"] / (1 << 20)
    yield Bookmill(cluster, gateway, gateway.upload(model_archive), _measured, _tables)
    gateway.close()


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, model_archive: bytes) -> Iterator[Reference]:
    """The same runs on this machine, without a cluster."""
    local = Reference(tmp_path_factory.mktemp("reference"), model_archive)
    yield local
    local.close()


@pytest.fixture(scope="session")
def chain(bookmill: Bookmill) -> Run:
    """The summary of one run of the chain, which other tests work with."""
    began = time.monotonic()
    run = bookmill.gateway.create(bookmill.spec())
    summary = bookmill.gateway.finished(run["name"])
    _measured["chain, seconds"] = time.monotonic() - began
    return summary
