import json
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf.json_format import Parse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bookmill.v1.train_pb2 import TrainingSpec
from services.common.errors import NotFound, Unavailable
from services.jobs.kubernetes.launcher import render
from services.jobs.kubernetes.manifest import EXPORTER, REQUEST, TRAINER, labels, manifest
from services.jobs.kubernetes.needs import Needs, needs_of
from services.jobs.kubernetes.settings import ClusterSettings
from services.jobs.launcher import Order
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, fake_spec

SPEC = fake_spec()
ORDER = KIND.order(STEP.key(SPEC), SPEC)
GIB = 1 << 30
LEAST = {"namespace": "books", "image": "bookmill/train-cpu:1", "storeSecret": "store"}
# The oldest version the chart installs on, and the newest there is a schema of.
LITTLE = Needs()
VERSIONS = ("1.31", "1.37")
EVERYTHING = {
    **LEAST,
    "imagePullPolicy": "Always",
    "imagePullSecrets": ["pull"],
    "serviceAccountName": "jobs",
    "accelerator": "nvidia",
    "runtimeClassName": "nvidia",
    "nodeSelector": {"gpu": "a100"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}],
    "queueName": "gpus",
    "priorityClassName": "low",
    "activeDeadlineSeconds": 1000,
    "ttlSecondsAfterFinished": 2000,
    "terminationGracePeriodSeconds": 30,
    "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"cpu": "8", "memory": "8Gi"}},
    "sharedMemory": "2Gi",
    "threads": 3,
    "storeSettings": {"BOOKMILL_STORE_ENDPOINT": "store:9000"},
    "labels": {"app.kubernetes.io/name": "mill", "app.kubernetes.io/instance": "r", "team": "books"},
    "owner": {"apiVersion": "v1", "kind": "ConfigMap", "name": "release"},
}


def made(values: dict[str, Any], component: str = TRAINER, needs: Needs = LITTLE, uid: str = "") -> dict[str, Any]:
    job = manifest(ORDER, ClusterSettings.model_validate(values), component, needs, uid)
    assert yaml.safe_load(render(job)) == job, "what is submitted and what is shown are the same"
    return job


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(job)["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("component", [TRAINER, EXPORTER])
@pytest.mark.parametrize("settings", [LEAST, EVERYTHING])
def test_it_is_valid(settings: dict[str, Any], component: str, version: str) -> None:
    job = made(settings, component, Needs(5 * GIB, 3 * GIB), "u")
    kubernetes_validate.validate(job, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**job, "spec": {**job["spec"], "backofLimit": 3}}, version, strict=True)


def test_it_says_when_it_is_run_again() -> None:
    job = made(LEAST)
    assert job["metadata"]["name"] == ORDER.name
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 3)
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [75]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [42, 43, 44, 45]},
        },
    ]
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (172_800, 86_400)
    assert "suspend" not in spec
    pod = pod_of(job)
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 300)
    assert container_of(job)["name"] == "trainer"


def test_the_request_travels_as_one_annotation_that_is_mounted() -> None:
    job = made(LEAST)
    assert job["spec"]["template"]["metadata"]["annotations"] == {"bookmill.dev/request": ORDER.request}
    assert json.loads(ORDER.request)["hyperparameters"]["max_steps"] == 4
    volume = next(v for v in pod_of(job)["volumes"] if v["name"] == "request")
    assert volume["downwardAPI"]["items"] == [
        {"path": "request.json", "fieldRef": {"fieldPath": "metadata.annotations['bookmill.dev/request']"}}
    ]
    assert {"name": "request", "mountPath": "/etc/bookmill/request", "readOnly": True} in container_of(job)[
        "volumeMounts"
    ]
    assert "command" not in container_of(job)
    assert "args" not in container_of(job)


def test_its_pod_is_restricted_and_has_no_token() -> None:
    job = made(LEAST)
    pod, container = pod_of(job), container_of(job)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (10001, 10001)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container["securityContext"]
    assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
    assert context["capabilities"] == {"drop": ["ALL"]}
    kinds = {volume["name"]: volume for volume in pod["volumes"]}
    for name in ("tmp", "cache", "shm"):
        assert kinds[name]["emptyDir"]["sizeLimit"]
    assert kinds["shm"]["emptyDir"]["medium"] == "Memory"
    assert {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")} == {
        "/tmp",
        "/cache",
        "/dev/shm",
    }


def test_credentials_are_files_that_it_only_names() -> None:
    job = made(EVERYTHING)
    (source,) = next(v for v in pod_of(job)["volumes"] if v["name"] == "store")["projected"]["sources"]
    assert source["secret"]["name"] == "store"
    environment = {e["name"]: e.get("value") for e in container_of(job)["env"]}
    assert environment["BOOKMILL_STORE_ACCESS_KEY_FILE"] == "/etc/bookmill/store/access_key"
    assert environment["BOOKMILL_STORE_SECRET_KEY_FILE"] == "/etc/bookmill/store/secret_key"
    assert environment["BOOKMILL_STORE_ENDPOINT"] == "store:9000"
    assert {environment[name] for name in ("BOOKMILL_JOB_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")} == {"3"}
    assert environment["BOOKMILL_JOB_SCRATCH"] == "/cache"
    assert not {"BOOKMILL_STORE_ACCESS_KEY", "BOOKMILL_STORE_SECRET_KEY", "HF_TOKEN"} & environment.keys()


def test_the_mount_decides_where_the_keys_are() -> None:
    job = made({**LEAST, "storeSettings": {"BOOKMILL_STORE_ACCESS_KEY_FILE": "/elsewhere"}})
    environment = {e["name"]: e.get("value") for e in container_of(job)["env"]}
    assert environment["BOOKMILL_STORE_ACCESS_KEY_FILE"] == "/etc/bookmill/store/access_key"


@pytest.mark.parametrize(
    ("accelerator", "component", "gpus"),
    [("nvidia", TRAINER, "1"), ("cpu", TRAINER, None), ("nvidia", EXPORTER, None), ("cpu", EXPORTER, None)],
)
def test_a_training_on_nvidia_alone_asks_for_one_gpu(accelerator: str, component: str, gpus: str | None) -> None:
    resources = container_of(made({**LEAST, "accelerator": accelerator}, component))["resources"]
    assert [resources[kind].get("nvidia.com/gpu") for kind in ("requests", "limits")] == [gpus, gpus]


def test_disk_is_what_it_needs_and_the_scheduler_knows() -> None:
    job = made(LEAST, needs=Needs(10 * GIB))
    resources = container_of(job)["resources"]
    # Beside the job's own: a gibibyte of caches and one of /tmp.
    assert resources["requests"]["ephemeral-storage"] == resources["limits"]["ephemeral-storage"] == f"{12 * 1024}Mi"
    sizes = {v["name"]: v["emptyDir"]["sizeLimit"] for v in pod_of(job)["volumes"] if "emptyDir" in v}
    assert (sizes["cache"], sizes["tmp"]) == (f"{11 * 1024}Mi", "1024Mi")


@pytest.mark.parametrize(
    ("resources", "needed", "request_", "limit"),
    [
        ({}, 0, None, None),
        ({"requests": {"memory": "4Gi"}, "limits": {"memory": "8Gi"}}, 0, "4Gi", "8Gi"),
        ({"requests": {"memory": "4Gi"}, "limits": {"memory": "8Gi"}}, 3 * GIB, "4Gi", "8Gi"),
        ({"requests": {"memory": "4Gi"}, "limits": {"memory": "8Gi"}}, 6 * GIB, "6144Mi", "8Gi"),
        ({"requests": {"memory": "4Gi"}, "limits": {"memory": "8Gi"}}, 9 * GIB, "9216Mi", "9216Mi"),
        ({"requests": {"memory": "4Gi"}}, 9 * GIB, "9216Mi", "9216Mi"),
        ({}, GIB + 1, "1025Mi", "1025Mi"),
    ],
)
def test_memory_is_raised_to_what_it_needs(
    resources: dict[str, Any], needed: int, request_: str | None, limit: str | None
) -> None:
    given_ = container_of(made({**LEAST, "resources": resources}, EXPORTER, Needs(0, needed)))["resources"]
    assert (given_["requests"].get("memory"), given_["limits"].get("memory")) == (request_, limit)


def test_values_reach_their_places() -> None:
    job = made(EVERYTHING, uid="1-2-3")
    assert job["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "release", "uid": "1-2-3"}
    ]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["spec"]["suspend"] is True
    pod = pod_of(job)
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["nodeSelector"] == {"gpu": "a100"}
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert pod["priorityClassName"] == "low"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert (pod["serviceAccountName"], pod["terminationGracePeriodSeconds"]) == ("jobs", 30)
    assert container_of(job)["resources"]["requests"]["cpu"] == "2"
    assert container_of(job)["imagePullPolicy"] == "Always"


def test_what_is_not_set_is_not_there() -> None:
    job = made(LEAST)
    assert "ownerReferences" not in job["metadata"]
    unset = {"runtimeClassName", "nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets"}
    assert not unset & pod_of(job).keys()


@pytest.mark.parametrize("component", [TRAINER, EXPORTER])
def test_labels_are_those_that_policies_select_by(component: str) -> None:
    job = made(EVERYTHING, component)
    pod_labels = job["spec"]["template"]["metadata"]["labels"]
    assert pod_labels == {
        "app.kubernetes.io/name": "mill",
        "app.kubernetes.io/instance": "r",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "bookmill",
        "team": "books",
    }
    assert labels(ClusterSettings.model_validate(EVERYTHING), component).items() <= job["metadata"]["labels"].items()


@settings(deadline=None)
@given(st.text(max_size=40))
@example("a\x85b\u2028c\u2029d\ne: #'\"")
def test_a_request_arrives_as_it_is(text: str) -> None:
    spec = fake_spec(text)
    order = KIND.order(STEP.key(spec), spec)
    job = manifest(order, ClusterSettings.model_validate(LEAST), TRAINER, LITTLE)
    shown = yaml.safe_load(render(job))
    assert shown == job
    assert Parse(shown["spec"]["template"]["metadata"]["annotations"][REQUEST], TrainingSpec()) == spec


@settings(deadline=None)
@given(st.lists(st.text("ghijklmnopqrs", min_size=12, max_size=12), min_size=2, max_size=2, unique=True))
def test_no_secret_is_in_it(secrets: list[str]) -> None:
    """A setting that would show one is refused, so that nothing of a Secret but its name can be there."""
    for name, secret in zip(("ACCESS_KEY", "SECRET_KEY"), secrets, strict=True):
        with pytest.raises(ValueError, match="would show a secret") as refusal:
            ClusterSettings.model_validate({**LEAST, "storeSettings": {f"BOOKMILL_STORE_{name}": secret}})
        assert secret not in str(refusal.value)
    text = render(made(EVERYTHING, needs=Needs(GIB, GIB), uid="u"))
    assert not any(secret in text for secret in secrets)


def test_needs_that_cannot_be_said_are_the_least() -> None:
    def gone(_: Order) -> Needs:
        raise NotFound("NO_SUCH_OBJECT", "it is gone")

    def away(_: Order) -> Needs:
        raise Unavailable("STORE_UNAVAILABLE", "no answer")

    assert needs_of(ORDER, gone) == Needs()
    with pytest.raises(Unavailable):
        needs_of(ORDER, away)
