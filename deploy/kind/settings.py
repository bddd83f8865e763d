"""What the cluster on one machine is made of; each value is an environment variable, which make passes on."""

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVICES = ("ingest", "clean", "chunk", "train", "export", "gateway")
"""Each has an image and a Deployment of its name."""

IMAGES = (*SERVICES, "train-cpu", "exporter", "e2e")
"""Ours that run on it, built by `make kind-images`. The trainer for GPUs is not among them: it is 7 GB, and has
nothing to run on."""


def _environment(name: str, default: str) -> str:
    # Empty is what make passes on for a variable that is not set.
    return os.environ.get(name) or default


@dataclass(frozen=True, slots=True)
class Settings:
    """Names and images."""

    cluster: str = field(default_factory=lambda: _environment("KIND_CLUSTER", "bookmill"))
    """Of kind; kubectl's context is `kind-` and this."""
    node_image: str = field(default_factory=lambda: _environment("KIND_NODE_IMAGE", ""))
    """kind's own when empty."""
    prefix: str = field(default_factory=lambda: _environment("IMAGE_PREFIX", "bookmill"))
    """Before our images' names."""
    tag: str = field(default_factory=lambda: _environment("TAG", "dev"))
    """Of our images."""
    minio_image: str = field(default_factory=lambda: _environment("MINIO_IMAGE", ""))
    """Loaded into the nodes from this machine; when empty they pull the chart's."""
    namespace: str = field(default_factory=lambda: _environment("NAMESPACE", "bookmill"))
    """Of the release."""
    release: str = field(default_factory=lambda: _environment("RELEASE", "bookmill"))
    """Of Helm."""

    @property
    def context(self) -> str:
        """The name of the cluster in kubectl's configuration."""
        return f"kind-{self.cluster}"

    def image(self, name: str) -> str:
        """Gives the full name of one of our images."""
        return f"{self.prefix}/{name}:{self.tag}"
