"""Every value is documented and checked; what one says of another is refused with a remedy."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import values_table
from tests.support.chart_values import DIGESTS, VALUES, every
from tests.support.helm import CHART, Helm, HelmRefused, Object, overlaid

Broken = Callable[..., Path]
TEXT = (CHART / "values.yaml").read_text(encoding="utf-8")
DEFAULTS: Object = yaml.safe_load(TEXT)
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def test_every_key_is_documented() -> None:
    assert values_table.undocumented(values_table.values(TEXT)) == []


def test_a_key_that_is_not_documented_is_found() -> None:
    text = TEXT.replace("    # -- Bucket; made", "    # Bucket; made").replace("    # -- TLS.\n", "")
    text = text.replace("  # -- Bucket; made when it does not exist.\n", "").replace(
        "    scratch: 1Gi", "    scrach: 1Gi"
    )
    found = values_table.undocumented(values_table.values(text))
    assert found == [
        "services.clean.scrach", "services.train.scrach", "objectStore.bucket", "objectStore.external.secure",
    ]  # fmt: skip


def test_the_readme_has_the_table() -> None:
    current = values_table.README.read_text(encoding="utf-8")
    assert current == values_table.readme(current), "python -m tests.support.values_table writes it"


def test_the_readme_changes_with_the_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(TEXT.replace("size: 200Gi", "size: 300Gi"), encoding="utf-8")
    monkeypatch.setattr(values_table, "CHART", tmp_path)
    current = values_table.README.read_text(encoding="utf-8")
    assert '`"300Gi"`' in values_table.readme(current)


def keys(values: Object, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from keys(value, (*prefix, key))


def at(values: Object, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def nested(path: tuple[str, ...], value: object) -> Object:
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


OPEN = {"commonLabels", "nodeSelector", "env", "secretFiles", "clientLabel", "annotations"}
"""Maps whose keys are the user's."""
MAPS = [(), *(path for path in keys(DEFAULTS) if isinstance(at(DEFAULTS, path), dict) and path[-1] not in OPEN)]


@pytest.mark.parametrize("path", MAPS, ids=".".join)
def test_a_misspelt_key_is_refused_everywhere(helm: Helm, path: tuple[str, ...]) -> None:
    with pytest.raises(HelmRefused, match="'misspelt' not allowed"):
        helm.render(nested((*path, "misspelt"), "x"))


def test_an_open_schema_is_found(helm: Helm, broken: Broken) -> None:
    chart = broken("values.schema.json", '"additionalProperties": false', '"additionalProperties": true')
    assert helm.render({"misspelt": "x"}, chart)


@pytest.mark.parametrize("path", list(keys(DEFAULTS)), ids=".".join)
def test_a_value_of_another_type_is_refused(helm: Helm, path: tuple[str, ...]) -> None:
    # Of no key is this the type: a list that holds a list.
    with pytest.raises(HelmRefused, match="don't meet the specifications"):
        helm.render(nested(path, [[]]))


@every
def test_only_keys_that_exist_are_given(values: Object) -> None:
    known = set(keys(DEFAULTS))
    for path in keys(values):
        inside_open = any(part in OPEN or part == "digests" for part in path[:-1])
        assert inside_open or path in known, path


BAD_VALUES: dict[str, Object] = {
    "pull policy": {"image": {"pullPolicy": "Sometimes"}},
    "digest": {"image": {"digests": {"clean": "sha256:123"}}},
    "image that there is none of": {"image": {"digests": {"cleaner": DIGESTS["clean"]}}},
    "no pods": {"services": {"clean": {"replicas": 0}}},
    "flavor": {"objectStore": {"bundled": {"flavor": "ceph"}}},
    "size": {"objectStore": {"bundled": {"size": "200 GB"}}},
    "bucket": {"objectStore": {"bucket": "My Bucket"}},
    "endpoint with a scheme": {"objectStore": {"external": {"endpoint": "https://s3.example"}}},
    "accelerator": {"trainer": {"accelerator": "amd"}},
    "the service's own resource": {"trainer": {"resources": {"limits": {"nvidia.com/gpu": "2"}}}},
    "grace": {"terminationGracePeriodSeconds": 10},
    "secret in a setting": {"services": {"ingest": {"env": {"HF_TOKEN": "hf_x"}}}},
    "password in an address": {"ollama": {"address": "http://me:secret@ollama:11434"}},
    "setting that is no string": {"services": {"ingest": {"env": {"BOOKMILL_INGEST_ATTEMPTS": 3}}}},
    "a label of the chart's": {"commonLabels": {"app.kubernetes.io/component": "store"}},
    "address range": {"networkPolicy": {"apiServerCidrs": ["10.0.0.1"]}},
}


@pytest.mark.parametrize("values", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_is_refused(helm: Helm, values: Object) -> None:
    with pytest.raises(HelmRefused, match="don't meet the specifications"):
        helm.render(values)


EXTERNAL = VALUES["external-store"]["objectStore"]
INGRESS = {"enabled": True, "host": "bookmill.example", "tlsSecret": "tls"}
REFUSED: dict[str, tuple[Object, str]] = {
    "external without endpoint": (
        {"objectStore": overlaid(EXTERNAL, {"external": {"endpoint": ""}})},
        "needs objectStore.external.endpoint: host:port",
    ),
    "external without keys": (
        {"objectStore": overlaid(EXTERNAL, {"existingSecret": ""})},
        "needs objectStore.existingSecret: a Secret with the keys",
    ),
    "external that is cut off": (
        {"objectStore": overlaid(EXTERNAL, {"external": {"to": []}})},
        "objectStore.external.to is empty.*networkPolicy.enabled=false",
    ),
    "endpoint that is not used": (
        {"objectStore": {"external": {"endpoint": "s3:9000"}}},
        "set objectStore.mode=external",
    ),
    "memory with a storage class": (
        {"objectStore": {"bundled": {"inMemory": True, "storageClassName": "fast"}}},
        "remove objectStore.bundled.storageClassName",
    ),
    "seaweedfs without policies": (
        {"objectStore": {"bundled": {"flavor": "seaweedfs"}}, "networkPolicy": {"enabled": False}},
        "set networkPolicy.enabled=true, or flavor=minio",
    ),
    "ingress without host": ({"ingress": {**INGRESS, "host": ""}}, "needs ingress.host"),
    "ingress without TLS": ({"ingress": {**INGRESS, "tlsSecret": ""}}, "needs ingress.tlsSecret.*in the clear"),
    "fewer pods at the most": (
        {"services": {"clean": {"replicas": 4, "autoscaling": {"enabled": True, "maxReplicas": 3}}}},
        "services.clean.autoscaling.maxReplicas 3 is less than services.clean.replicas 4",
    ),
    "autoscaling of nothing": (
        {"services": {"clean": {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}}},
        "needs services.clean.resources.requests.cpu",
    ),
    "runtime class without a GPU": (
        {"trainer": {"accelerator": "cpu", "runtimeClassName": "nvidia"}},
        "remove it, or set accelerator=nvidia",
    ),
    "policy that is off": (
        {"networkPolicy": {"enabled": False, "gatewayFrom": [{"podSelector": {}}]}},
        "enable it, or remove gatewayFrom",
    ),
    "Ollama by a name of the cluster": ({"ollama": {"address": "http://ollama:11434"}}, "networkPolicy.exportEgress"),
    "Ollama by a service's name": ({"ollama": {"address": "http://ollama.a.svc:11434"}}, "networkPolicy.exportEgress"),
    "Ollama by a private address": ({"ollama": {"address": "http://172.20.0.3:11434"}}, "networkPolicy.exportEgress"),
    "test run without a topic": ({"helmTest": {"baseModel": "hf:a/b"}}, "give both for a small run, or neither"),
    "test run without a model": ({"helmTest": {"topic": "sea"}}, "give both for a small run, or neither"),
    "image without its digest": (
        overlaid(VALUES["production"], {"image": {"digests": {"exporter": ""}}}),
        "image.digests.exporter is missing",
    ),
    "store without its digest": (
        overlaid(VALUES["production"], {"objectStore": {"bundled": {"image": {"digest": ""}}}}),
        "objectStore.bundled.image.digest is missing",
    ),
    "digests that are not pulled": (
        overlaid(VALUES["production"], {"image": {"pullPolicy": "Never"}}),
        "choose IfNotPresent or Always",
    ),
}


@pytest.mark.parametrize(("values", "remedy"), REFUSED.values(), ids=REFUSED.keys())
def test_values_that_do_not_go_together_are_refused(helm: Helm, broken: Broken, values: Object, remedy: str) -> None:
    with pytest.raises(HelmRefused, match=remedy):
        helm.render(values)
    # Without the check they would be taken: it is this check that refuses them.
    unchecked = broken("templates/_helpers.tpl", "fail (", "printf (")
    unchecked = broken("templates/_helpers.tpl", 'fail "', 'printf "')
    (unchecked / "templates" / "checks.yaml").unlink()
    assert helm.texts(values, unchecked)


@pytest.mark.parametrize("address", ["https://ollama.example", "http://8.8.8.8:80"])
def test_a_public_ollama_needs_no_policy(helm: Helm, address: str) -> None:
    assert helm.render({"ollama": {"address": address}})
