"""Makes, fills and removes the cluster; each step may be repeated."""

import hashlib
import json
import subprocess
import time
from collections.abc import Sequence

from deploy.kind.settings import IMAGES, ROOT, Settings

GPU = "nvidia.com/gpu"
GPU_NODE = "bookmill.dev/for=gpu"
"""The label of the node that says it has a GPU."""

_LOADED = "bookmill.dev/images"
"""An annotation of nodes: the images that were loaded, with digests of what is in them."""
_CONTENT = (
    "{{.RootFS.Layers}} {{.Config.Env}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.User}} {{.Config.WorkingDir}}"
)
_CONFIG = ROOT / "deploy" / "kind" / "cluster.yaml"
_READY_SECONDS = 180
_GPU_SECONDS = 60


class Failed(Exception):
    """A program that was run did not succeed; the message is its own."""


def run(command: Sequence[str], stdin: str | None = None, timeout: float = 600) -> str:
    """Runs a program and gives what it wrote.

    Raises:
        Failed: it exited with another code than 0.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def kubectl(settings: Settings, *arguments: str, stdin: str | None = None, timeout: float = 600) -> str:
    """Runs kubectl on this cluster, never on another one that it may be set to. Raises Failed."""
    return run(("kubectl", f"--context={settings.context}", *arguments), stdin, timeout)


def exists(settings: Settings) -> bool:
    """Says whether the cluster is there."""
    return settings.cluster in run(("kind", "get", "clusters")).split()


def create(settings: Settings) -> None:
    """Makes the cluster where it is not there, with a GPU for the scheduler to hand out. Raises Failed."""
    if not exists(settings):
        image = [f"--image={settings.node_image}"] if settings.node_image else []
        wait = f"--wait={_READY_SECONDS}s"
        run(("kind", "create", "cluster", f"--name={settings.cluster}", f"--config={_CONFIG}", wait, *image))
    # Of the workers kind waits for none.
    kubectl(settings, "wait", "nodes", "--all", "--for=condition=Ready", f"--timeout={_READY_SECONDS}s")
    for node in nodes(settings, GPU_NODE):
        give_gpu(settings, node)


def nodes(settings: Settings, selector: str = "") -> list[str]:
    """Gives the names of the nodes with a label. Raises Failed."""
    found = kubectl(settings, "get", "nodes", f"--selector={selector}", "--output=name")
    return [name.removeprefix("node/") for name in found.split()]


def give_gpu(settings: Settings, node: str, count: int = 1) -> None:
    """Makes a node offer GPUs, as NVIDIA's device plugin would: the scheduler's part is real. Raises Failed."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    patch = json.dumps([{"op": "add", "path": path, "value": str(count)}])
    kubectl(settings, "patch", "node", node, "--subresource=status", "--type=json", f"--patch={patch}")
    # What can be given away follows when the node's kubelet next reports.
    until = time.monotonic() + _GPU_SECONDS
    while _allocatable(settings, node) != str(count):
        if time.monotonic() > until:
            raise Failed(f"node {node} does not offer {GPU}: {count} after {_GPU_SECONDS} s")
        time.sleep(0.5)


def load(settings: Settings) -> bool:
    """Copies the release's images from this machine into the nodes. Returns and raises as `load_images`."""
    # On nodes without a GPU the scheduler's part is real and the arithmetic a CPU's.
    stand_in = settings.image("train-gpu")
    run(("docker", "tag", settings.image("train-cpu"), stand_in))
    named = [*(settings.image(name) for name in IMAGES), stand_in]
    return load_images(settings, [*named, *filter(None, (settings.minio_image,))])


def load_images(settings: Settings, images: Sequence[str]) -> bool:
    """Copies images from this machine into the workers that have not got them.

    Args:
        settings: of the cluster.
        images: their full names.

    Returns:
        Whether there were such: pods that are there already run others of the same name.

    Raises:
        Failed: one is not on this machine.
    """
    # Nothing of ours runs on the control plane; each node that is left out saves a minute.
    names = nodes(settings, "!node-role.kubernetes.io/control-plane")
    # An annotation tells which a node has: kind would ask a program that not all nodes have.
    wanted = {image: _content(image) for image in images}
    known = [json.loads(_annotation(settings, name) or "{}") for name in names]
    missing = [image for image in wanted if any(have.get(image) != wanted[image] for have in known)]
    if not missing:
        return False
    command = ("kind", "load", "docker-image", f"--name={settings.cluster}", f"--nodes={','.join(names)}")
    run((*command, *missing), timeout=1800)
    for name, have in zip(names, known, strict=True):
        loaded = json.dumps({**have, **wanted})
        kubectl(settings, "annotate", "node", name, "--overwrite", f"{_LOADED}={loaded}")
    return True


def delete(settings: Settings) -> None:
    """Removes the cluster with everything in it. Raises Failed."""
    run(("kind", "delete", "cluster", f"--name={settings.cluster}"))


def _content(image: str) -> str:
    # Labels tell of the revision: a commit that changes no code loads no image anew.
    return hashlib.sha256(run(("docker", "image", "inspect", f"--format={_CONTENT}", image)).encode()).hexdigest()


def _allocatable(settings: Settings, node: str) -> str:
    column = f"jsonpath={{.status.allocatable.{GPU.replace('.', chr(92) + '.')}}}"
    return kubectl(settings, "get", "node", node, f"--output={column}")


def _annotation(settings: Settings, node: str) -> str:
    column = f"jsonpath={{.metadata.annotations.{_LOADED.replace('.', chr(92) + '.')}}}"
    return kubectl(settings, "get", "node", node, f"--output={column}")
