"""The kind cluster as end-to-end tests use it: kubectl, objects as JSON, pods by component, programs in pods."""

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.kind import cluster as kind
from deploy.kind.settings import Settings

T = TypeVar("T")
Object = dict[str, Any]

PROGRAMS = Path(__file__).resolve().parents[1] / "e2e" / "programs"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster, and the namespace of the release in it."""

    settings: Settings

    @property
    def namespace(self) -> str:
        """Where the release is."""
        return self.settings.namespace

    def image_of(self, variable: str) -> str:
        """Loads an image that a test needs besides, and gives its name; skips where the environment names none."""
        image = os.environ.get(variable, "")
        if not image:
            pytest.skip(f"{variable} names no image")
        kind.load_images(self.settings, [image])
        return image

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 300) -> str:
        """Runs kubectl in the namespace. Raises `Failed` of deploy.kind with its words."""
        return kind.kubectl(self.settings, f"--namespace={self.namespace}", *arguments, stdin=stdin, timeout=timeout)

    def get(self, kinds: str, *arguments: str) -> Any:
        """Gets an object by name, or with a selector the list of objects."""
        found = json.loads(self.kubectl("get", kinds, *arguments, "--output=json"))
        return found.get("items", found)

    def kinds(self) -> list[str]:
        """Gives the kinds of object that a namespace can hold and that can be listed."""
        return self.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()

    def secrets(self) -> dict[str, dict[str, str]]:
        """Gives the release's Secrets, and of each its values in base64 by key."""
        selector = f"--selector=app.kubernetes.io/instance={self.settings.release}"
        return {str(item["metadata"]["name"]): item["data"] for item in self.get("secrets", selector)}

    def find(self, kinds: str, name: str) -> Object | None:
        """Gets an object, None where there is none."""
        text = self.kubectl("get", kinds, name, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def apply(self, *objects: Object) -> None:
        """Makes or changes objects."""
        self.kubectl("apply", "--filename=-", stdin=_list(objects))

    def create(self, *objects: Object) -> None:
        """Makes objects, as `kubectl create` does."""
        self.kubectl("create", "--filename=-", stdin=_list(objects))

    def delete(self, kinds: str, *arguments: str) -> None:
        """Deletes objects, where they are there, and waits until they are gone."""
        self.kubectl("delete", kinds, *arguments, "--ignore-not-found", "--wait", timeout=600)

    def pods(self, component: str) -> list[Object]:
        """Gives the release's pods of a component that are not being deleted, oldest first."""
        selector = f"app.kubernetes.io/name=bookmill,app.kubernetes.io/component={component}"
        found = [p for p in self.get("pods", f"--selector={selector}") if "deletionTimestamp" not in p["metadata"]]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod(self, component: str, seconds: float = 120) -> str:
        """Waits for a pod of a component that runs, and gives its name."""
        seen = eventually(
            lambda: [p for p in self.pods(component) if p["status"].get("phase") == "Running"],
            bool,
            seconds,
            f"a running pod of {component}",
        )
        return str(seen[-1]["metadata"]["name"])

    def pods_of_job(self, job: str) -> list[Object]:
        """Gives the pods of a Job, oldest first."""
        found = self.get("pods", f"--selector=batch.kubernetes.io/job-name={job}")
        return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def deployments(self) -> list[str]:
        """Gives the names of the release's Deployments."""
        found = self.get("deployments", f"--selector=app.kubernetes.io/instance={self.settings.release}")
        return [str(item["metadata"]["name"]) for item in found]

    def rolled_out(self, seconds: int = 300) -> None:
        """Waits until every Deployment is as it should be."""
        for name in self.deployments():
            self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s", timeout=seconds + 30)

    def run_in(self, pod: str, *command: str, timeout: float = 120) -> str:
        """Runs a command in a pod and gives what it writes."""
        return self.kubectl("exec", pod, "--", *command, timeout=timeout)

    def python_in(self, pod: str, program: str, *arguments: str, timeout: float = 120) -> Any:
        """Runs one of our programs in any pod that has Python, and reads the JSON that it writes."""
        source = (PROGRAMS / f"{program}.py").read_text(encoding="utf-8")
        return json.loads(self.run_in(pod, "python", "-c", source, *arguments, timeout=timeout))


def eventually(look: Callable[[], T], wanted: Callable[[T], Any], seconds: float, what: str, pause: float = 0.5) -> T:
    """Looks until what it sees is wanted, and gives that.

    Raises:
        AssertionError: it was not, for `seconds`.
    """
    until = time.monotonic() + seconds
    while not wanted(seen := look()):
        assert time.monotonic() < until, f"no {what} after {seconds} s; last seen: {str(seen)[:3000]}"
        time.sleep(pause)
    return seen


def program_pod(
    settings: Settings,
    name: str,
    arguments: Sequence[str],
    labels: dict[str, str] | None = None,
    resources: dict[str, str] | None = None,
    volumes: Iterable[tuple[str, Object]] = (),
    node: dict[str, str] | None = None,
) -> Object:
    """Gives a pod of the image `e2e` that the restricted Pod Security Standard allows.

    Args:
        settings: of the cluster.
        name: of the pod.
        arguments: of `python -m`.
        labels: beside its `app`.
        resources: beside a little of processor and memory, requested and limited.
        volumes: volumes by the path that they are mounted at.
        node: labels of the node that it must be on.
    """
    amounts = {"memory": "128Mi", **(resources or {})}
    named = [(f"volume-{n}", path, volume) for n, (path, volume) in enumerate(volumes)]
    container = {
        "name": "program",
        "image": settings.image("e2e"),
        "args": list(arguments),
        "resources": {"requests": {"cpu": "10m", **amounts}, "limits": amounts},
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path, _ in named],
    }
    pod = restricted_pod(name, container, [{"name": volume, **source} for volume, _, source in named], node or {})
    pod["metadata"]["labels"] |= labels or {}
    pod["spec"] |= {"enableServiceLinks": False, "terminationGracePeriodSeconds": 1}
    pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = True
    return pod


def restricted_pod(name: str, container: Object, volumes: Iterable[Object], node: dict[str, str]) -> Object:
    """Gives a pod that the restricted Pod Security Standard allows, with a /tmp that it may write to.

    Args:
        name: of the pod, and of its label `app`.
        container: its name, image and what is particular to it, with `volumeMounts`.
        volumes: that it mounts.
        node: labels of the node that it must be on.
    """
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, *container["volumeMounts"]]
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    filled = {**container, "imagePullPolicy": "IfNotPresent", "securityContext": security, "volumeMounts": mounts}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "nodeSelector": node,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [filled],
            "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        },
    }


def _list(objects: Iterable[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
