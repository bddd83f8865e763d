"""A namespace of a real cluster, set up as the chart does, and what a test does to it with kubectl."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.jobs.kubernetes.settings import ClusterSettings

IMAGE = "bookmill-test/pod-job:1"
CANARY = "canary-of-a-secret"
SCRIPT = Path(__file__).with_name("pod_job.py")

# The same verbs as the chart's Role.
_RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["owner"], "verbs": ["get"]},
]


def load_image(cluster: str, folder: Path) -> None:
    """Builds the image of `pod_job` and brings it to the nodes of a kind cluster."""
    base = os.environ.get("PYTHON_BASE_IMAGE", "python:3.11-slim-bookworm")
    (folder / "pod_job.py").write_bytes(SCRIPT.read_bytes())
    (folder / "Dockerfile").write_text(
        f'FROM {base}\nCOPY pod_job.py /pod_job.py\nENTRYPOINT ["python", "/pod_job.py"]\n'
        'CMD ["/etc/bookmill/request/request.json"]\n'
    )
    run("docker", "build", "-q", "-t", IMAGE, str(folder))
    run("kind", "load", "docker-image", IMAGE, "--name", cluster)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace in which a service of the chart could run."""

    name: str
    admin: Path
    """The cluster's kubeconfig."""
    service: Path
    """The kubeconfig of a service account that may what the chart's Role allows."""

    @classmethod
    def create(cls, name: str, admin: Path, folder: Path) -> "Namespace":
        namespace = cls(name, admin, folder / f"{name}.kubeconfig")
        metadata = {"namespace": name}
        subject = {"kind": "ServiceAccount", "name": "service", "namespace": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "service"}
        namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            },
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "service", **metadata}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "jobs", **metadata}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", **metadata}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "store", **metadata},
                "stringData": {"access_key": CANARY, "secret_key": CANARY},
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "service", **metadata},
                "rules": _RULES,
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "service", **metadata},
                "roleRef": role,
                "subjects": [subject],
            },
        )
        token = namespace.kubectl("create", "token", "service", "--duration=2h").strip()
        config = json.loads(namespace.kubectl("config", "view", "--raw", "-o", "json"))
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        namespace.service.write_text(json.dumps(config))
        return namespace

    def settings(self, **more: Any) -> ClusterSettings:
        """Gives settings of Jobs in it."""
        return ClusterSettings.model_validate(
            {
                "namespace": self.name,
                "image": IMAGE,
                "serviceAccountName": "jobs",
                "terminationGracePeriodSeconds": 20,
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "1", "memory": "64Mi"},
                },
                "sharedMemory": "1Mi",
                "storeSecret": "store",
                "labels": {"app.kubernetes.io/instance": "test"},
                "owner": {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"},
                **more,
            }
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        for it in objects:
            self.kubectl("apply", "-f", "-", standard_input=json.dumps(it))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Gives an object as JSON, None where there is none."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def pods(self, job: str) -> list[dict[str, Any]]:
        """Gives a Job's pods, the newest last."""
        text = self.kubectl("get", "pods", "-l", f"batch.kubernetes.io/job-name={job}", "-o", "json")
        return sorted(json.loads(text)["items"], key=lambda pod: pod["metadata"]["creationTimestamp"])

    def kubectl(self, *arguments: str, standard_input: str | None = None) -> str:
        return run(
            "kubectl", "--kubeconfig", str(self.admin), "-n", self.name, *arguments, standard_input=standard_input
        )


def run(*command: str, standard_input: str | None = None) -> str:
    """Runs a command and gives what it prints; what it says of an error is part of the exception's note."""
    done = subprocess.run(command, input=standard_input, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
