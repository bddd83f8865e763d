"""Installs the chart on the cluster."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from deploy.kind.cluster import Failed, kubectl, run
from deploy.kind.settings import ROOT, Settings

CHART = ROOT / "charts" / "bookmill"
VALUES = ROOT / "deploy" / "values" / "kind.yaml"

_PORTS = ROOT / "deploy" / "kind" / "gateway-ports.yaml"
_READY_SECONDS = 300


def install(settings: Settings, values: Sequence[Path] = (), more: Sequence[str] = (), wait: bool = True) -> None:
    """Installs or upgrades the release, and waits until every pod is ready.

    Args:
        settings: of the cluster.
        values: files over those for kind.
        more: further arguments of `helm upgrade`.
        wait: for readiness.

    Raises:
        Failed: with Helm's words.
    """
    install_chart(settings, values, more, wait)
    kubectl(settings, "apply", f"--namespace={settings.namespace}", f"--filename={_PORTS}")


def install_chart(settings: Settings, values: Sequence[Path] = (), more: Sequence[str] = (), wait: bool = True) -> None:
    """As `install`, without ports of this machine: those are one release's. Raises Failed."""
    make_namespace(settings)
    helm(
        settings,
        "upgrade",
        "--install",
        settings.release,
        str(CHART),
        *(f"--values={path}" for path in (VALUES, *values)),
        *images(settings),
        *more,
        *((("--wait", f"--timeout={_READY_SECONDS}s")) if wait else ()),
    )


def exists(settings: Settings) -> bool:
    """Says whether the release is there. Raises Failed."""
    return settings.release in helm(settings, "list", "--short").split()


def restart(settings: Settings) -> None:
    """Replaces the services' pods, as images of the same name have changed, and waits for them. Raises Failed."""
    selected = (f"--namespace={settings.namespace}", f"--selector=app.kubernetes.io/instance={settings.release}")
    kubectl(settings, "rollout", "restart", "deployment", *selected)
    kubectl(settings, "rollout", "status", "deployment", *selected, f"--timeout={_READY_SECONDS}s")


def images(settings: Settings) -> list[str]:
    """Gives Helm's arguments that name the images which were loaded into the nodes."""
    named = [f"--set=image.registry={settings.prefix}", f"--set-string=image.tag={settings.tag}"]
    if settings.minio_image:
        repository, _, tag = settings.minio_image.rpartition(":")
        named.append(f"--set=objectStore.bundled.image.repository={repository}")
        named.append(f"--set-string=objectStore.bundled.image.tag={tag}")
    return named


def helm(settings: Settings, *arguments: str) -> str:
    """Runs Helm on this cluster and in the release's namespace. Raises Failed."""
    return run(
        ("helm", f"--kube-context={settings.context}", f"--namespace={settings.namespace}", *arguments),
        timeout=2 * _READY_SECONDS,
    )


def make_namespace(settings: Settings) -> None:
    """Makes the namespace, which takes only pods of the restricted Pod Security Standard. Raises Failed."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.namespace, "labels": labels},
    }
    kubectl(settings, "apply", "--filename=-", stdin=json.dumps(namespace))


def address(settings: Settings, port: int) -> str:
    """Gives `127.0.0.1:PORT` of the gateway on this machine.

    Args:
        settings: of the cluster.
        port: 30080 for REST and the web page, 30051 for gRPC.

    Raises:
        Failed: the cluster was not made from cluster.yaml.
    """
    found = run(("docker", "port", f"{settings.cluster}-control-plane", f"{port}/tcp")).split()
    if not found:
        raise Failed(f"the cluster maps no port {port}; make it anew")
    return found[0]


def token(settings: Settings) -> str:
    """Reads the gateway's bearer token. Raises Failed."""
    encoded = kubectl(
        settings,
        *("get", "secret", f"{settings.release}-token", f"--namespace={settings.namespace}"),
        "--output=jsonpath={.data.token}",
    )
    return base64.b64decode(encoded).decode()
