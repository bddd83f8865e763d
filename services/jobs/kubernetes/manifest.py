"""The Job that is submitted for an order, as a value.

It holds the request and no secret: credentials are files of a Secret, which it only names. A Job that someone makes by
hand from the same manifest is the same Job.
"""

import math
from typing import Any

from services.jobs.exits import BACKOFF_LIMIT, TERMINAL, Interrupted
from services.jobs.kubernetes.needs import Needs
from services.jobs.kubernetes.settings import Amounts, ClusterSettings, size_of
from services.jobs.launcher import Order

TRAINER = "trainer"
"""The component that trainings are, in their labels and to network policies."""
EXPORTER = "exporter"

REQUEST = "bookmill.dev/request"
"""The annotation of the pod template that holds the specification as JSON."""
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
QUEUE = "kueue.x-k8s.io/queue-name"
GPU = "nvidia.com/gpu"

_USER = 10001  # of the images
_READABLE = 0o440  # by the pod's group
_TMP = 1 << 30
_BASE_DISK = 1 << 30  # compiled kernels, caches of libraries, the log
_REQUEST_FOLDER = "/etc/bookmill/request"
_STORE_FOLDER = "/etc/bookmill/store"
_SCRATCH = "/cache"
_END_FILE = "/dev/termination-log"
_THREADS = ("BOOKMILL_JOB_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def manifest(
    order: Order, settings: ClusterSettings, component: str, needs: Needs, owner_uid: str = ""
) -> dict[str, Any]:
    """Gives the Job of an order.

    Args:
        order: what to run.
        settings: of the cluster.
        component: `TRAINER` or `EXPORTER`. Only a training asks for a GPU.
        needs: of this job.
        owner_uid: of the object that `settings.owner` names, empty where there is none.
    """
    metadata: dict[str, Any] = {
        "name": order.name,
        "namespace": settings.namespace,
        "labels": labels(settings, component),
    }
    if settings.owner is not None and owner_uid:
        owner = settings.owner
        metadata["ownerReferences"] = [
            {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner_uid}
        ]
    spec: dict[str, Any] = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules(component)},
        "activeDeadlineSeconds": settings.active_deadline_seconds,
        "ttlSecondsAfterFinished": settings.ttl_seconds_after_finished,
        "template": {
            "metadata": {"labels": labels(settings, component), "annotations": {REQUEST: order.request}},
            "spec": _pod(settings, component, needs),
        },
    }
    if settings.queue_name:
        metadata["labels"][QUEUE] = settings.queue_name
        spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def labels(settings: ClusterSettings, component: str) -> dict[str, str]:
    """Gives the labels of Jobs and pods of one kind."""
    return {NAME: "bookmill", **settings.labels, COMPONENT: component, MANAGED_BY: "bookmill"}


def _failure_rules(component: str) -> list[dict[str, Any]]:
    """The first rule that matches decides. Without the second, a pod that was evicted would count as a crash."""

    def on_exit(action: str, codes: list[int]) -> dict[str, Any]:
        return {
            "action": action,
            "onExitCodes": {"containerName": component, "operator": "In", "values": codes},
        }

    return [
        on_exit("Ignore", [Interrupted.exit_code]),
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        on_exit("FailJob", sorted(TERMINAL)),
    ]


def _pod(settings: ClusterSettings, component: str, needs: Needs) -> dict[str, Any]:
    cache = needs.disk_bytes + _BASE_DISK
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account_name,
        "automountServiceAccountToken": False,
        # Variables such as BOOKMILL_STORE_PORT=tcp://… would be taken for settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings, component, needs, cache + _TMP)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": _in_mebibytes(_TMP)}},
            {"name": "cache", "emptyDir": {"sizeLimit": _in_mebibytes(cache)}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
            {
                "name": "request",
                "downwardAPI": {
                    "items": [{"path": "request.json", "fieldRef": {"fieldPath": f"metadata.annotations['{REQUEST}']"}}]
                },
            },
            {
                "name": "store",
                "projected": {
                    "defaultMode": _READABLE,
                    "sources": [
                        {
                            "secret": {
                                "name": settings.store_secret,
                                "items": [{"key": key, "path": key} for key in ("access_key", "secret_key")],
                            }
                        }
                    ],
                },
            },
        ],
    }
    chosen: dict[str, Any] = {
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "runtimeClassName": settings.runtime_class_name,
        "priorityClassName": settings.priority_class_name,
        "nodeSelector": dict(settings.node_selector),
        "tolerations": [t.model_dump(by_alias=True, exclude_none=True) for t in settings.tolerations],
    }
    return pod | {key: value for key, value in chosen.items() if value}


def _container(settings: ClusterSettings, component: str, needs: Needs, disk: int) -> dict[str, Any]:
    return {
        "name": component,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": _environment(settings),
        "resources": _resources(settings, component, needs, disk),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": _END_FILE,
        # The last lines of its log, where the program could not say why it ended.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (a folder of the pod's own)
            {"name": "cache", "mountPath": _SCRATCH},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            {"name": "request", "mountPath": _REQUEST_FOLDER, "readOnly": True},
            {"name": "store", "mountPath": _STORE_FOLDER, "readOnly": True},
        ],
    }


def _environment(settings: ClusterSettings) -> list[dict[str, Any]]:
    """The same settings as the local launcher gives, so that equal requests give equal bytes."""
    plain = {
        **settings.store_settings,
        "BOOKMILL_STORE_ACCESS_KEY_FILE": f"{_STORE_FOLDER}/access_key",
        "BOOKMILL_STORE_SECRET_KEY_FILE": f"{_STORE_FOLDER}/secret_key",
        "BOOKMILL_JOB_SCRATCH": _SCRATCH,
        "BOOKMILL_JOB_END_FILE": _END_FILE,
        **dict.fromkeys(_THREADS, str(settings.threads)),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_XET": "1",
        # Libraries ask for a user's name and home, and the image's user has neither.
        "HOME": _SCRATCH,
        "USER": "bookmill",
    }
    name = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    return [
        *({"name": key, "value": value} for key, value in plain.items()),
        {"name": "BOOKMILL_JOB_NAME", "valueFrom": name},
    ]


def _resources(settings: ClusterSettings, component: str, needs: Needs, disk: int) -> dict[str, dict[str, str]]:
    requests, limits = _amounts(settings.resources.requests), _amounts(settings.resources.limits)
    if needs.memory_bytes:
        # A limit below what is needed would only end the job late.
        requests["memory"] = _larger(requests.get("memory"), needs.memory_bytes)
        limits["memory"] = _larger(limits.get("memory"), size_of(requests["memory"]))
    # Of both kinds: the scheduler looks for a node that has it, and what takes more is evicted.
    for amounts in (requests, limits):
        amounts["ephemeral-storage"] = _in_mebibytes(disk)
    if component == TRAINER and settings.accelerator == "nvidia":
        for amounts in (requests, limits):
            amounts[GPU] = "1"
    return {"requests": requests, "limits": limits}


def _amounts(amounts: Amounts) -> dict[str, str]:
    return amounts.model_dump(exclude_none=True)


def _larger(given: str | None, needed: int) -> str:
    return given if given is not None and size_of(given) >= needed else _in_mebibytes(needed)


def _in_mebibytes(size: int) -> str:
    return f"{math.ceil(size / (1 << 20))}Mi"
