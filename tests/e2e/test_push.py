"""`make push` sends images to a registry, and what it writes makes the chart pull just those."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.kind import cluster as kind
from deploy.kind import release
from deploy.kind.settings import ROOT, Settings
from tests.support.e2e_cluster import eventually

pytestmark = pytest.mark.faults

_CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}}
http: {addr: ":5000"}
"""
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def registry(cluster: object, tmp_path: Path) -> Iterator[str]:
    """An OCI registry on loopback, where an engine asks for no certificate; `localhost:PORT`."""
    del cluster  # which says whether there is an engine, and images
    image = os.environ.get("REGISTRY_IMAGE", "")
    if not image:
        pytest.skip("no registry: REGISTRY_IMAGE names no image")
    config = tmp_path / "config.yml"
    config.write_text(_CONFIG, encoding="utf-8")
    options = ("--detach", "--publish=127.0.0.1::5000", f"--volume={config}:/config.yml:ro")
    container = kind.run(("docker", "run", *options, image, "serve", "/config.yml")).strip()
    try:
        port = kind.run(("docker", "port", container, "5000/tcp")).strip().rpartition(":")[2]
        address = f"localhost:{port}"
        eventually(lambda: _answers(f"http://{address}/v2/"), bool, 30, "answer of the registry")
        yield address
        named = kind.run(("docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}", f"{address}/*/*")).split()
        for name in named:
            kind.run(("docker", "image", "rm", name))
    finally:
        kind.run(("docker", "rm", "--force", "--volumes", container))


def test_what_is_pushed_is_what_is_pulled(registry: str, tmp_path: Path) -> None:
    settings = Settings()
    written = tmp_path / "images.yaml"
    named = [f"REGISTRY={registry}/bookmill", f"TAG={settings.tag}", f"IMAGE_PREFIX={settings.prefix}"]
    kind.run(("make", f"--directory={ROOT}", "push", "IMAGES=clean chunk", f"IMAGE_VALUES={written}", *named))
    image = yaml.safe_load(written.read_text(encoding="utf-8"))["image"]
    assert set(image["digests"]) == {"clean", "chunk"}
    for name, digest in image["digests"].items():
        manifest = httpx.get(f"http://{registry}/v2/bookmill/{name}/manifests/{digest}", headers={"Accept": _MANIFESTS})
        assert manifest.status_code == 200, manifest.text
        assert manifest.headers["Docker-Content-Digest"] == digest
        assert manifest.json()["layers"]
    options = (f"--values={written}", "--kube-version=1.34.0")
    rendered = kind.run(("helm", "template", "bookmill", str(release.CHART), *options))
    assert f"image: {registry}/bookmill/clean@{image['digests']['clean']}" in rendered.replace('"', "")


def test_what_was_not_built_is_named(registry: str, tmp_path: Path) -> None:
    written = tmp_path / "images.yaml"
    command = ("make", f"--directory={ROOT}", "push", "IMAGES=not-there", f"REGISTRY={registry}/bookmill")
    done = subprocess.run((*command, f"IMAGE_VALUES={written}"), capture_output=True, text=True, check=False)
    assert done.returncode
    assert "bookmill/not-there:" in done.stderr
    assert not written.exists()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
