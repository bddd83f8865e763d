from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.jobs.kubernetes.settings import load_cluster, parse_cluster, size_of
from services.jobs.settings import LaunchSettings

LEAST: dict[str, Any] = {"namespace": "books", "image": "bookmill/train-cpu:1", "storeSecret": "store"}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"namespace": "Books"}, "namespace"),
        ({"namespace": None}, "namespace"),
        ({"image": ""}, "image"),
        ({"image": "a b"}, "image"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy"),
        ({"imagePullSecrets": [{"name": "x"}]}, "imagePullSecrets.0"),
        ({"accelerator": "amd"}, "accelerator"),
        ({"nodeSelector": {"a b": "c"}}, "nodeSelector.a b"),
        ({"tolerations": [{"operator": "Maybe"}]}, "tolerations.0.operator"),
        ({"tolerations": [{"kee": "x"}]}, "tolerations.0.kee"),
        ({"queueName": "A B"}, "queueName"),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds"),
        ({"ttlSecondsAfterFinished": -1}, "ttlSecondsAfterFinished"),
        ({"terminationGracePeriodSeconds": 0}, "terminationGracePeriodSeconds"),
        ({"resources": {"limits": {"memory": "lots"}}}, "resources.limits.memory"),
        ({"resources": {"limits": {"nvidia.com/gpu": "2"}}}, "resources.limits.nvidia.com/gpu"),
        ({"sharedMemory": "1e9"}, "sharedMemory"),
        ({"threads": 0}, "threads"),
        ({"storeSecret": None}, "storeSecret"),
        ({"storeSettings": {"HF_TOKEN": "x"}}, "storeSettings.HF_TOKEN"),
        ({"storeSettings": {"BOOKMILL_STORE_SECURE": False}}, "storeSettings.BOOKMILL_STORE_SECURE"),
        ({"labels": {"app.kubernetes.io/name": "a b"}}, "labels.app.kubernetes.io/name"),
        ({"owner": {"apiVersion": "v1", "kind": "Secret", "name": "x"}}, "owner.kind"),
        ({"activeDeadLineSeconds": 5}, "activeDeadLineSeconds"),
    ],
)
def test_a_wrong_key_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changes: Any, key: str
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({**LEAST, **changes}))
    settings = LaunchSettings.model_validate({"launcher": "kubernetes", "cluster_file": path})
    with pytest.raises(SystemExit) as end:
        load_cluster(settings)
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"CLUSTER_FILE ({str(path)!r}): {key}" in lines[0]


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "just text"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"it cannot be read|the file"):
        parse_cluster(path)


def test_numbers_of_helm_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(LEAST) + "activeDeadlineSeconds: 2.592e+06\nresources: {requests: {cpu: 2}}\n")
    settings = parse_cluster(path)
    assert settings.active_deadline_seconds == 2_592_000
    assert settings.resources.requests.cpu == "2"
    assert settings.owner is None


def test_jobs_of_this_machine_need_no_file() -> None:
    assert load_cluster(LaunchSettings()) is None


@pytest.mark.parametrize("file", [None, "/no/such/file"])
def test_a_cluster_needs_one(file: str | None) -> None:
    with pytest.raises(ValidationError, match="name a file") as refusal:
        LaunchSettings.model_validate({"launcher": "kubernetes", "cluster_file": file})
    assert refusal.value.errors()[0]["loc"] == ("cluster_file",)


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("0", 0),
        ("5", 5),
        ("1.5", 2),
        ("1500m", 2),
        ("2k", 2000),
        ("2Ki", 2048),
        ("3M", 3_000_000),
        ("1.5Gi", 3 << 29),
        ("2T", 2 * 10**12),
        ("1Pi", 1 << 50),
        ("1E", 10**18),
    ],
)
def test_quantities_have_sizes(quantity: str, size: int) -> None:
    assert size_of(quantity) == size


@given(st.integers(0, 1 << 40))
def test_a_size_in_mebibytes_is_itself(number: int) -> None:
    assert size_of(f"{number}Mi") == number << 20
