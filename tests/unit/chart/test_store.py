"""What the bundled store's containers run."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.helm import Helm, Object


def pod(helm: Helm, flavor: str) -> Object:
    objects = helm.render({"objectStore": {"bundled": {"flavor": flavor}}})
    spec: Object = next(it for it in objects if it["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    return spec


def written(helm: Helm, folder: Path, secret: str) -> "subprocess.CompletedProcess[str]":
    """Runs the script that writes SeaweedFS's keys, on folders of this machine."""
    (folder / "access_key").write_text("bookmill", encoding="utf-8")
    (folder / "secret_key").write_text(secret, encoding="utf-8")
    container = pod(helm, "seaweedfs")["initContainers"][0]
    script = container["args"][0].replace("/etc/bookmill/store", str(folder)).replace("/etc/seaweedfs", str(folder))
    return subprocess.run([*container["command"], script], capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("secret", ["abc123", "it's $HOME %s `id` /+="])
def test_seaweedfs_gets_its_keys_as_they_are(helm: Helm, tmp_path: Path, secret: str) -> None:
    done = written(helm, tmp_path, secret)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    path = tmp_path / "s3.json"
    identity = json.loads(path.read_text(encoding="utf-8"))["identities"][0]
    assert identity["credentials"] == [{"accessKey": "bookmill", "secretKey": secret}]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ['a"b', "a\\b"])
def test_keys_that_would_break_the_file_are_refused_without_being_shown(
    helm: Helm, tmp_path: Path, secret: str
) -> None:
    done = written(helm, tmp_path, secret)
    assert done.returncode == 1
    assert secret not in done.stderr
    assert not (tmp_path / "s3.json").exists()


def test_the_store_keeps_to_itself(helm: Helm) -> None:
    told = {v["name"]: v["value"] for v in pod(helm, "minio")["containers"][0]["env"]}
    assert (told["MINIO_BROWSER"], told["MINIO_UPDATE"]) == ("off", "off")
    args = pod(helm, "seaweedfs")["containers"][0]["args"]
    assert {"-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-ip=127.0.0.1"} <= set(args)
