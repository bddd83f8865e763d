"""Every values file renders, and what it renders is what Kubernetes takes."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart_jobs import made_jobs
from tests.support.chart_values import VALUES, every
from tests.support.helm import CHART, Helm, Object, tool

OLDEST, NEWEST = "1.31", "1.37"
"""Of Kubernetes: what Chart.yaml names, and the last whose schemas we have."""
IMAGE_CHECKS = ("CKV_K8S_15", "CKV_K8S_43")
"""Always pulled, and by digest: neither can be where images are loaded into nodes."""


def written(objects: list[Object], path: Path) -> Path:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
    return path


def validated(path: Path, version: str) -> str:
    """What kubernetes-validate finds; empty when all is well."""
    command = [str(tool("kubernetes-validate")), "--strict", "--quiet", "--kubernetes-version", version, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "it failed"


def checked(path: Path, *skipped: str) -> list[str]:
    """What checkov finds, as `CHECK: object`."""
    command = [str(tool("checkov")), "--file", str(path), "--framework", "kubernetes"]
    command += ["--skip-download", "--compact", "--output", "json"]
    if skipped:
        command += ["--skip-check", ",".join(skipped)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=path.parent)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100, "it looked at next to nothing"
    assert report["summary"]["parsing_errors"] == 0
    return [f"{found['check_id']}: {found['resource']}" for found in report["results"]["failed_checks"]]


@every
def test_lint_finds_nothing(helm: Helm, values: Object) -> None:
    assert helm.lint(values) == []


def test_lint_finds_what_is_wrong(helm: Helm, broken: Callable[..., Path]) -> None:
    assert helm.lint(chart=broken("templates/clean.yaml", "bookmill.service", "bookmill.servce"))


@every
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_it(helm: Helm, values: Object, version: str, tmp_path: Path) -> None:
    objects = helm.render(values)
    jobs = made_jobs(objects, tmp_path)
    assert validated(written([*objects, *jobs], tmp_path / "all.yaml"), version) == ""


def test_kubernetes_does_not_take_what_it_does_not_know(
    helm: Helm, broken: Callable[..., Path], tmp_path: Path
) -> None:
    objects = helm.render(chart=broken("templates/_service.tpl", "failureThreshold: 120", "failureTreshold: 120"))
    assert "failureTreshold" in validated(written(objects, tmp_path / "all.yaml"), OLDEST)


def test_the_oldest_version_is_the_one_that_the_chart_names() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


@pytest.mark.parametrize("name", ["production", "deploy-production"])
def test_checkov_finds_nothing_in_production(helm: Helm, name: str, tmp_path: Path) -> None:
    objects = helm.render(VALUES[name])
    # Jobs are made at run time; they stand beside the policies that select them.
    assert checked(written([*objects, *made_jobs(objects, tmp_path)], tmp_path / "all.yaml")) == []


@pytest.mark.parametrize("name", ["deploy-kind", "seaweedfs"])
def test_checkov_finds_nothing_elsewhere_but_how_images_are_pulled(helm: Helm, name: str, tmp_path: Path) -> None:
    objects = helm.render(VALUES[name])
    path = written([*objects, *made_jobs(objects, tmp_path)], tmp_path / "all.yaml")
    assert checked(path, *IMAGE_CHECKS) == []


def test_checkov_finds_what_is_wrong(helm: Helm, broken: Callable[..., Path], tmp_path: Path) -> None:
    chart = broken("templates/_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    objects = helm.render(VALUES["production"], chart)
    assert "CKV_K8S_22: Deployment.bookmill.bookmill-clean" in checked(written(objects, tmp_path / "all.yaml"))


@every
def test_an_installed_helm_renders_the_same(helm: Helm, values: Object, tmp_path: Path) -> None:
    found = shutil.which("helm")
    if found is None:
        pytest.skip("no helm on PATH: it was rendered by Helm's library alone")
    given = tmp_path / "values.json"
    given.write_text(json.dumps(values), encoding="utf-8")
    command = [found, "template", "bookmill", str(CHART), "--namespace", "bookmill", "--kube-version", "1.34.0"]
    command += ["--values", str(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    theirs = [it for it in yaml.safe_load_all(done.stdout) if it]
    assert sorted(map(_known, theirs)) == sorted(map(_known, helm.render(values)))


def _known(it: Object) -> str:
    # Secrets are made by chance.
    return json.dumps({**it, "data": sorted(it["data"])} if it["kind"] == "Secret" else it, sort_keys=True)
