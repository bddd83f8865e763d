"""What must be true of everything that the chart renders, as functions that give what is wrong."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.helm import Object

_SAFE_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|ACCESS_KEY|SECRET_KEY|CREDENTIALS?)$")
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or what makes them."""

    of: str
    """`Deployment/bookmill-clean`."""
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(objects: list[Object]) -> list[Pod]:
    """Gives every pod that objects make."""
    found = []
    for it in objects:
        if it["kind"] == "Pod":
            found.append(Pod(_name(it), it["metadata"].get("labels", {}), it["spec"]))
        elif it["kind"] in _WORKLOADS:
            template = it["spec"]["template"]
            found.append(Pod(_name(it), template["metadata"].get("labels", {}), template["spec"]))
    return found


def unrestricted(objects: list[Object]) -> list[str]:
    """Gives what the restricted Pod Security Standard forbids, and what we ask for beside it.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return [f"{pod.of}: {problem}" for pod in pods(objects) for problem in _unrestricted(pod)]


def _unrestricted(pod: Pod) -> Iterator[str]:
    spec, shared = pod.spec, pod.spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes", []):
        if not _SAFE_VOLUMES.issuperset(volume.keys() - {"name"}):
            yield f"volume {volume}"
    if shared.get("sysctls"):
        yield "sysctls"
    # Of ours: a token is mounted by name where one is needed, and variables of Services would be taken for settings.
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken"
    if spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks"
    if spec.get("serviceAccountName", "default") == "default":
        yield "serviceAccountName"
    for container in pod.containers:
        yield from (f"{container['name']}: {problem}" for problem in _unrestricted_container(container, shared))


def _unrestricted_container(container: Object, shared: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    context = {**shared, **own}
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if not context.get("runAsUser"):
        yield "runAsUser"
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
        yield "capabilities"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    # Of ours.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem"
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            if not container.get("resources", {}).get(kind, {}).get(name):
                yield f"resources.{kind}.{name}"


def shown_secrets(objects: list[Object]) -> list[str]:
    """Gives where a secret could be read by somebody who may not read Secrets.

    That is: the value of a Secret anywhere else, a variable that holds one, and a variable with a secret's name
    that holds anything but a file's path.
    """
    secrets = {
        value
        for it in objects
        if it["kind"] == "Secret"
        for value in [
            *(base64.b64decode(v).decode() for v in it.get("data", {}).values()),
            *it.get("data", {}).values(),
            *it.get("stringData", {}).values(),
        ]
    }
    problems = []
    for it in objects:
        if it["kind"] != "Secret":
            for where, text in _texts(it):
                problems += [f"{_name(it)}{where} shows a Secret's value" for value in secrets if value in text]
    for pod in pods(objects):
        for container in pod.containers:
            for variable in container.get("env", []):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    problems.append(f"{pod.of}: {variable['name']} is a Secret in the environment")
                elif _SECRET_NAME.search(variable["name"]) and variable.get("value"):
                    problems.append(f"{pod.of}: {variable['name']} has a secret's name and is no file")
            if any("secretRef" in source for source in container.get("envFrom", [])):
                problems.append(f"{pod.of}: a Secret in the environment")
    return problems


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")
    else:
        yield where, str(value)


def _name(it: Object) -> str:
    return f"{it['kind']}/{it['metadata']['name']}"
