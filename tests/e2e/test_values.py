"""A real API server takes every object of the chart, whatever the values are, and warns of none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploy.kind import release
from tests.support.chart_values import every
from tests.support.e2e_cluster import Cluster
from tests.support.helm import Object


@pytest.fixture(scope="module")
def empty(cluster: Cluster) -> Iterator[Cluster]:
    """A namespace with nothing in it, where a pod that is not restricted is warned of."""
    settings = replace(cluster.settings, namespace="empty")
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty", "labels": labels}})
    yield Cluster(settings)
    cluster.delete("namespace", "empty")


@every
def test_the_api_server_takes_it(empty: Cluster, values: Object, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    rendered = release.helm(
        empty.settings, "template", "--validate", "bookmill", str(release.CHART), f"--values={file}"
    )
    told = empty.kubectl("apply", "--dry-run=server", "--warnings-as-errors", "--filename=-", stdin=rendered)
    objects = [found for found in yaml.safe_load_all(rendered) if found]
    assert len(told.splitlines()) == told.count("created (server dry run)") == len(objects) > 30
