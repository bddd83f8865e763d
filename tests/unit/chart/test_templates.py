"""What single templates must say, and that they agree with the services' own code."""

import ast
import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.chunk.settings import ChunkSettings
from services.clean.settings import CleanSettings
from services.common.settings import ServerSettings, StoreSettings
from services.export.publishing_settings import PublishingSettings
from services.export.settings import ExportSettings
from services.gateway.settings import GatewaySettings
from services.ingest.settings import IngestSettings
from services.train.settings import TrainSettings
from tests.support.chart_jobs import cluster, made_jobs
from tests.support.chart_values import DIGESTS, VALUES, every
from tests.support.helm import ROOT, Helm, HelmRefused, Object

Broken = Callable[..., Path]
SERVICES = ("ingest", "clean", "chunk", "train", "export", "gateway")
SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "ingest": (IngestSettings,),
    "clean": (CleanSettings,),
    "chunk": (ChunkSettings,),
    "train": (TrainSettings,),
    "export": (ExportSettings, PublishingSettings),
    "gateway": (GatewaySettings,),
}


def one(objects: list[Object], kind: str, name: str) -> Object:
    found = [it for it in objects if it["kind"] == kind and it["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind}/{name}"
    return found[0]


def has(objects: list[Object], kind: str, name: str) -> bool:
    return any(it["kind"] == kind and it["metadata"]["name"] == name for it in objects)


def pod_of(objects: list[Object], service: str) -> Object:
    spec: Object = one(objects, "Deployment", f"bookmill-{service}")["spec"]["template"]["spec"]
    return spec


def environment(objects: list[Object], service: str) -> dict[str, str]:
    return {v["name"]: v["value"] for v in pod_of(objects, service)["containers"][0]["env"]}


@every
@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_one_of_the_service(helm: Helm, values: Object, service: str) -> None:
    kinds = (ServerSettings, StoreSettings, *SETTINGS[service])
    known = {f"{k.model_config['env_prefix']}{name}".upper() for k in kinds for name in k.model_fields}
    assert environment(helm.render(values), service).keys() <= known


def test_a_value_of_the_user_has_its_way_over_a_setting(helm: Helm) -> None:
    objects = helm.render({"services": {"clean": {"env": {"BOOKMILL_STORE_REGION": "here", "BOOKMILL_WORKERS": "3"}}}})
    assert environment(objects, "clean").items() >= {"BOOKMILL_STORE_REGION": "here", "BOOKMILL_WORKERS": "3"}.items()
    names = [v["name"] for v in pod_of(objects, "clean")["containers"][0]["env"]]
    assert len(names) == len(set(names))


@every
@pytest.mark.parametrize("service", SERVICES)
def test_no_call_is_lost_when_pods_are_replaced(helm: Helm, values: Object, service: str) -> None:
    objects = helm.render(values)
    strategy = one(objects, "Deployment", f"bookmill-{service}")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod, container = pod_of(objects, service), pod_of(objects, service)["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": 50051}
    told = environment(objects, service)
    leaving = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # Out of the end points, then NOT_SERVING, then calls in flight, and time is left.
    needed = leaving + float(told["BOOKMILL_NOT_SERVING_SECONDS"]) + float(told["BOOKMILL_DRAIN_SECONDS"])
    assert needed + 5 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("service", SERVICES)
def test_clients_see_every_pod(helm: Helm, service: str) -> None:
    objects = helm.render()
    name = "bookmill-gateway-pods" if service == "gateway" else f"bookmill-{service}"
    headless = one(objects, "Service", name)["spec"]
    assert headless["clusterIP"] == "None"
    labels = one(objects, "Deployment", f"bookmill-{service}")["spec"]["template"]["metadata"]["labels"]
    assert headless["selector"].items() <= labels.items()
    if service != "gateway":
        assert environment(objects, "gateway")[f"BOOKMILL_GATEWAY_{service.upper()}"] == f"dns:///{name}:50051"


def test_one_address_reaches_the_gateway(helm: Helm) -> None:
    objects = helm.render(VALUES["ingress"])
    spec = one(objects, "Service", "bookmill-gateway")["spec"]
    assert "clusterIP" not in spec
    assert {p["name"]: p["port"] for p in spec["ports"]} == {"grpc": 50051, "http": 8080}
    hosts = json.loads(environment(objects, "gateway")["BOOKMILL_GATEWAY_ALLOWED_HOSTS"])
    assert set(hosts) >= {"127.0.0.1", "localhost", "bookmill-gateway", "bookmill.example", "books.example"}
    # As the service reads it.
    assert GatewaySettings(allowed_hosts=hosts).allowed_hosts == hosts


def test_ingress_has_tls(helm: Helm) -> None:
    assert not any(it["kind"] == "Ingress" for it in helm.render())
    spec = one(helm.render(VALUES["ingress"]), "Ingress", "bookmill-gateway")["spec"]
    assert spec["tls"] == [{"hosts": ["bookmill.example"], "secretName": "bookmill-tls"}]
    backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "bookmill-gateway", "port": {"name": "http"}}


def test_budgets_and_autoscalers_are_there_where_they_help(helm: Helm) -> None:
    objects = helm.render(VALUES["ingress"])
    budgets = {it["metadata"]["name"] for it in objects if it["kind"] == "PodDisruptionBudget"}
    assert budgets == {"bookmill-clean", "bookmill-chunk", "bookmill-gateway"}
    scaler = one(objects, "HorizontalPodAutoscaler", "bookmill-chunk")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 5)
    # Both would otherwise set the number of pods.
    assert "replicas" not in one(objects, "Deployment", "bookmill-chunk")["spec"]
    assert one(objects, "Deployment", "bookmill-train")["spec"]["replicas"] == 1


def test_only_train_and_export_have_a_token_of_the_cluster(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render()
    for service in SERVICES:
        sources = [s for v in pod_of(objects, service)["volumes"] for s in v.get("projected", {}).get("sources", [])]
        assert any("serviceAccountToken" in s for s in sources) == (service in {"train", "export"})
    for job in made_jobs(objects, tmp_path):
        assert "serviceAccountToken" not in json.dumps(job)
    binding = one(objects, "RoleBinding", "bookmill-jobs")
    assert {s["name"] for s in binding["subjects"]} == {"bookmill-train", "bookmill-export"}
    assert not any(it["kind"].startswith("ClusterRole") for it in objects)


VERBS = {"create": "create", "read": "get", "list": "list", "delete": "delete", "patch": "patch", "replace": "update"}
RESOURCES = {"job": "jobs", "pod": "pods", "pod_log": "pods/log", "event": "events", "config_map": "configmaps"}
ELSEWHERE = {"service_account", "deployment"}
"""What other installations may have own their Jobs; the chart has a ConfigMap do it."""


def used_verbs() -> set[tuple[str, str]]:
    """What the services' code asks of the Kubernetes API, by the client's method names."""
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            match = re.fullmatch(r"([a-z]+)_namespaced_([a-z_]+)", name)
            if match and match[2] not in ELSEWHERE:
                found.add((RESOURCES[match[2]], VERBS[match[1]]))
    return found


def granted(objects: list[Object]) -> set[tuple[str, str]]:
    rules = one(objects, "Role", "bookmill-jobs")["rules"]
    return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def test_the_role_has_the_verbs_that_are_used_and_no_more(helm: Helm, broken: Broken) -> None:
    assert granted(helm.render()) == used_verbs()
    rules = one(helm.render(), "Role", "bookmill-jobs")["rules"]
    assert [r["resourceNames"] for r in rules if "configmaps" in r["resources"]] == [["bookmill-jobs"]]
    assert (
        granted(helm.render(chart=broken("templates/jobs.yaml", "[create, get", "[create, patch, get"))) != used_verbs()
    )


def test_services_read_what_they_are_told_of_the_cluster(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render(VALUES["production"])
    train, export = (cluster(objects, service, tmp_path) for service in ("train", "export"))
    assert train.image == f"registry.example/bookmill/train-gpu@{DIGESTS['train-gpu']}"
    assert (train.accelerator, train.runtime_class_name, train.queue_name) == ("nvidia", "nvidia", "trainings")
    assert train.image_pull_secrets == ("registry",)
    assert train.node_selector == {"nvidia.com/gpu.present": "true"}
    assert train.tolerations[0].effect == "NoSchedule"
    assert (export.accelerator, export.queue_name, export.image_pull_policy) == ("cpu", "", "Always")
    assert train.labels["team"] == "models"
    for service in ("train", "export"):
        told = environment(objects, service)
        assert told[f"BOOKMILL_{service.upper()}_LAUNCHER"] == "kubernetes"
        mounts = {m["mountPath"]: m["name"] for m in pod_of(objects, service)["containers"][0]["volumeMounts"]}
        folder, _, file = told[f"BOOKMILL_{service.upper()}_CLUSTER_FILE"].rpartition("/")
        volume = next(v for v in pod_of(objects, service)["volumes"] if v["name"] == mounts[folder])
        assert file in one(objects, "ConfigMap", volume["configMap"]["name"])["data"]


def test_the_image_of_the_trainer_fits_the_accelerator(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render(VALUES["cpu"])
    assert cluster(objects, "train", tmp_path).image == "bookmill/train-cpu:0.1.0"
    assert environment(objects, "train")["BOOKMILL_TRAIN_ACCELERATOR"] == "cpu"
    training, _ = made_jobs(objects, tmp_path)
    assert "nvidia.com/gpu" not in json.dumps(training)


def test_jobs_go_with_the_release(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render()
    for job in made_jobs(objects, tmp_path):
        owner = job["metadata"]["ownerReferences"][0]
        owning = one(objects, owner["kind"], owner["name"])
        # Whatever is kept would keep the Jobs too.
        assert "annotations" not in owning["metadata"]
        assert job["spec"]["template"]["spec"]["serviceAccountName"] == "bookmill-jobs"


def test_pods_are_replaced_when_what_they_are_told_changes(helm: Helm) -> None:
    def checksum(values: Object) -> str:
        template = one(helm.render(values), "Deployment", "bookmill-train")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert checksum({}) == checksum({}) != checksum({"trainer": {"threads": 3}})


def test_only_data_and_credentials_are_kept(helm: Helm) -> None:
    objects = helm.render()
    kept = {
        it["metadata"]["name"] for it in objects if "helm.sh/resource-policy" in it["metadata"].get("annotations", {})
    }
    assert kept == {"bookmill-store", "bookmill-token"}
    for name in kept:
        assert one(objects, "Secret", name)["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    # A claim of a StatefulSet's template is nobody's; one of its own would go with the release.
    assert not any(it["kind"] == "PersistentVolumeClaim" for it in objects)
    template = one(objects, "StatefulSet", "bookmill-store")["spec"]["volumeClaimTemplates"][0]
    # It cannot be changed later, so nothing in it may change with the chart's version.
    assert "helm.sh/chart" not in template["metadata"]["labels"]


def test_hooks_leave_nothing(helm: Helm) -> None:
    hooks = [it for it in helm.render() if "helm.sh/hook" in it["metadata"].get("annotations", {})]
    # Helm does not remove hooks with the release.
    assert [(it["kind"], it["spec"]["ttlSecondsAfterFinished"]) for it in hooks] == [("Job", 3600)]


def test_credentials_are_long_and_made_by_chance(helm: Helm) -> None:
    def data(name: str) -> dict[str, bytes]:
        made = list(yaml.safe_load_all(helm.texts()["bookmill/templates/credentials.yaml"]))
        return {k: base64.b64decode(v) for k, v in one(made, "Secret", name)["data"].items()}

    assert {k: len(v) for k, v in data("bookmill-store").items()} == {"access_key": 20, "secret_key": 40}
    assert len(data("bookmill-token")["token"]) == 40
    assert data("bookmill-token") != data("bookmill-token")


def test_secrets_of_ones_own_are_used(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render(VALUES["external-store"])
    assert not any(it["kind"] in {"Secret", "StatefulSet"} for it in objects)
    volumes = {v["name"]: v for v in pod_of(objects, "gateway")["volumes"]}
    assert volumes["store"]["secret"]["secretName"] == "s3-keys"
    assert volumes["token"]["secret"]["secretName"] == "gateway-token"
    settings = cluster(objects, "train", tmp_path)
    assert settings.store_secret == "s3-keys"
    store = StoreSettings.model_validate(
        {k.removeprefix("BOOKMILL_STORE_").lower(): v for k, v in settings.store_settings.items() if "KEY" not in k}
        | {"access_key": "a", "secret_key": "s"}
    )
    assert (store.endpoint, store.secure, store.bucket) == ("s3.example:8443", True, "books")


def test_secrets_for_settings_are_files(helm: Helm) -> None:
    objects = helm.render({"services": {"ingest": {"secretFiles": {"mirror": "my-secret"}}}})
    mounts = {m["mountPath"]: m["name"] for m in pod_of(objects, "ingest")["containers"][0]["volumeMounts"]}
    volume = next(v for v in pod_of(objects, "ingest")["volumes"] if v["name"] == mounts["/etc/bookmill/mirror"])
    assert volume["secret"] == {"secretName": "my-secret", "defaultMode": 0o440}
    with pytest.raises(HelmRefused):
        helm.render({"services": {"ingest": {"secretFiles": {"store": "my-secret"}}}})


def test_hub_tokens_are_files_of_one_service_each(helm: Helm) -> None:
    objects = helm.render(VALUES["production"])
    secrets = {
        service: {v["secret"]["secretName"] for v in pod_of(objects, service)["volumes"] if "secret" in v}
        for service in SERVICES
    }
    assert {s for s, names in secrets.items() if "hub-read" in names} == {"ingest"}
    assert {s for s, names in secrets.items() if "hub-write" in names} == {"export"}
    assert environment(objects, "ingest")["BOOKMILL_INGEST_HUB_TOKEN_FILE"] == "/etc/bookmill/hub/token"
    assert environment(objects, "export")["BOOKMILL_PUBLISH_HUB_TOKEN_FILE"] == "/etc/bookmill/hub/token"
    for service in ("ingest", "export"):
        assert not any("HUB_TOKEN" in name for name in environment(helm.render(), service))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"flavor": "minio"}, "minio/minio:RELEASE.2025-09-07T16-13-09Z"),
        ({"flavor": "minio", "image": {"repository": "mine/minio", "tag": "2026"}}, "mine/minio:2026"),
        ({"flavor": "minio", "image": {"digest": DIGESTS["clean"]}}, f"minio/minio@{DIGESTS['clean']}"),
        ({"flavor": "seaweedfs"}, "bookmill/seaweedfs:0.1.0"),
        ({"flavor": "seaweedfs", "image": {"repository": "a/weed", "tag": "4"}}, "a/weed:4"),
    ],
)
def test_the_store_has_its_image(helm: Helm, image: Object, expected: str) -> None:
    objects = helm.render({"objectStore": {"bundled": image}})
    pod = one(objects, "StatefulSet", "bookmill-store")["spec"]["template"]["spec"]
    assert {c["image"] for c in [*pod["containers"], *pod.get("initContainers", [])]} == {expected}


def test_a_store_in_memory_has_a_limit_and_no_claim(helm: Helm) -> None:
    objects = helm.render({"objectStore": {"bundled": {"inMemory": True, "size": "1Gi"}}})
    spec = one(objects, "StatefulSet", "bookmill-store")["spec"]
    assert "volumeClaimTemplates" not in spec
    data = next(v for v in spec["template"]["spec"]["volumes"] if v["name"] == "data")
    assert data["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}


def test_names_follow_the_release(helm: Helm) -> None:
    objects = helm.render(name="shelf")
    clean = one(objects, "Deployment", "shelf-bookmill-clean")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "BOOKMILL_STORE_ENDPOINT", "value": "shelf-bookmill-store:9000"} in clean["env"]
    assert has(helm.render({"fullnameOverride": "mill"}, name="shelf"), "Deployment", "mill-clean")


def test_names_stay_short_enough(helm: Helm) -> None:
    names = [it["metadata"]["name"] for it in helm.render(name="r" * 53)]
    assert max(map(len, names)) <= 63


def test_a_chart_that_uses_this_one_may_have_globals(helm: Helm) -> None:
    assert helm.render({"global": {"anything": 1}})
    with pytest.raises(HelmRefused):
        helm.render({"globals": {}})


def test_the_notes_say_what_to_do_next(helm: Helm) -> None:
    notes = helm.texts()["bookmill/templates/NOTES.txt"]
    assert "get secret bookmill-token" in notes
    assert "port-forward service/bookmill-gateway 8080 50051" in notes
    assert "nvidia.com/gpu" in notes
    assert "not maintained" in notes
    changed = helm.texts({**VALUES["ingress"], "trainer": {"accelerator": "cpu"}})["bookmill/templates/NOTES.txt"]
    assert "https://bookmill.example/" in changed
    assert "nvidia.com/gpu" not in changed


def test_the_test_program_is_the_chart_s_file(helm: Helm) -> None:
    program = one(helm.render(), "ConfigMap", "bookmill-test")["data"]["helm_test.py"]
    assert program == (ROOT / "charts" / "bookmill" / "files" / "helm_test.py").read_text(encoding="utf-8")
    assert yaml.safe_load(yaml.safe_dump(program)) == program
