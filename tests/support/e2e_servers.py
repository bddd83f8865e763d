"""Servers that stand beside the release, in pods that the restricted Pod Security Standard allows."""

from collections.abc import Sequence

from tests.support.e2e_cluster import Object, restricted_pod
from tests.support.e2e_release import STORE_NODE


def server(
    name: str,
    image: str,
    port: int,
    ready: str,
    *,
    data: str,
    arguments: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    secrets: dict[str, str] | None = None,
    memory: str = "1Gi",
) -> list[Object]:
    """Gives a pod on the node that no test drains, and the Service that leads to it.

    Args:
        name: of both, and of the label `app`.
        image: that runs as any user.
        port: of HTTP.
        ready: the path that answers when it serves.
        data: where a volume is mounted, which ends with the pod.
        arguments: of the image's program.
        environment: of the program, beside its `HOME` at `data`.
        secrets: Secrets by the path where they are mounted.
        memory: the most that it may take.
    """
    mounted = [(f"secret-{n}", path, secret) for n, (path, secret) in enumerate((secrets or {}).items())]
    container = {
        "name": name,
        "image": image,
        "args": list(arguments),
        "env": [{"name": key, "value": value} for key, value in {"HOME": data, **(environment or {})}.items()],
        "readinessProbe": {"httpGet": {"path": ready, "port": port}, "periodSeconds": 1},
        "resources": {"limits": {"memory": memory}, "requests": {"cpu": "50m", "memory": "256Mi"}},
        "volumeMounts": [
            {"name": "data", "mountPath": data},
            *({"name": volume, "mountPath": path, "readOnly": True} for volume, path, _ in mounted),
        ],
    }
    volumes = [
        {"name": "data", "emptyDir": {}},
        *({"name": volume, "secret": {"secretName": secret}} for volume, _, secret in mounted),
    ]
    pod = restricted_pod(name, container, volumes, STORE_NODE)
    pod["spec"]["securityContext"]["fsGroup"] = 10001  # of the user that every such pod runs as
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return [pod, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}]
