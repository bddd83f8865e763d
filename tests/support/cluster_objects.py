"""Jobs, pods and events with the fields that a Kubernetes 1.34 gave when each case was made on it."""

from typing import Any

Object = dict[str, Any]
NAME = "train-0123456789abcdef0123"
JOB_UID = "11111111-1111-1111-1111-111111111111"


def at(second: int) -> str:
    """Gives a time as Kubernetes writes it."""
    return f"2026-11-24T23:{second // 60:02d}:{second % 60:02d}Z"


def job(*conditions: Object, deleting: bool = False, suspend: bool | None = None, queue: str = "") -> Object:
    metadata: Object = {"name": NAME, "uid": JOB_UID, "creationTimestamp": at(0), "labels": {}}
    if queue:
        metadata["labels"]["kueue.x-k8s.io/queue-name"] = queue
    if deleting:
        metadata |= {"deletionTimestamp": at(90), "finalizers": ["foregroundDeletion"]}
    spec: Object = {"backoffLimit": 3, "activeDeadlineSeconds": 60}
    if suspend is not None:
        spec["suspend"] = suspend
    return {"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)} if conditions else {}}


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def pod(number: int, phase: str, *conditions: Object, deleting: bool = False, **status: Any) -> Object:
    """Gives the Nth pod of the Job, made at second N."""
    metadata: Object = {"name": f"{NAME}-{number}", "uid": f"pod-{number}", "creationTimestamp": at(number)}
    if deleting:
        metadata["deletionTimestamp"] = at(90)
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    full = {"phase": phase, "conditions": list(conditions), **status}
    return {"metadata": metadata, "spec": {"containers": [limits]}, "status": full}


def ended(number: int, code: int, reason: str = "Error", message: str = "", **more: Any) -> Object:
    """Gives a pod whose program ended with a code."""
    terminated = {"exitCode": code, "reason": reason, "message": message}
    return pod(number, "Failed", containerStatuses=[{"state": {"terminated": terminated}}], **more)


def waiting(number: int, reason: str, message: str = "") -> Object:
    """Gives a pod with a node whose program has not begun."""
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(number, "Pending", condition("PodScheduled"), containerStatuses=[{"state": state}])


def event(reason: str, message: str, second: int, number: int | None = None, kind: str = "Warning") -> Object:
    """Gives an event about the Nth pod, or the Job."""
    about: Object = {"kind": "Job", "name": NAME, "uid": JOB_UID}
    if number is not None:
        about = {"kind": "Pod", "name": f"{NAME}-{number}", "uid": f"pod-{number}"}
    return {
        "metadata": {"creationTimestamp": at(second)},
        "involvedObject": about,
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": at(second),
        "eventTime": None,
    }
