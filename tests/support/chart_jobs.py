"""Jobs as the services make them at run time from what the chart tells them of the cluster."""

import base64
from pathlib import Path

from services.common.steps import Step
from services.jobs.kubernetes.manifest import EXPORTER, TRAINER, manifest
from services.jobs.kubernetes.needs import Needs
from services.jobs.kubernetes.settings import ClusterSettings, parse_cluster
from services.jobs.launcher import Order
from tests.support.helm import Object

NEEDS = Needs(disk_bytes=5 << 30, memory_bytes=3 << 30)
_KINDS = {TRAINER: ("train", "train_model"), EXPORTER: ("export", "export_model")}


def cluster(objects: list[Object], service: str, folder: Path) -> ClusterSettings:
    """Reads what the chart tells a service, as the service reads it."""
    texts = [
        it["data"][f"{service}.yaml"] for it in objects if it["kind"] == "ConfigMap" and "train.yaml" in it["data"]
    ]
    path = folder / f"{service}.yaml"
    path.write_text(texts[0], encoding="utf-8")
    return parse_cluster(path)


def made_jobs(objects: list[Object], folder: Path, needs: Needs = NEEDS) -> list[Object]:
    """Gives a training's Job and an export's."""
    jobs = []
    for component, (service, step) in _KINDS.items():
        settings = cluster(objects, service, folder)
        digits = base64.b16encode(component.encode()).decode().lower().ljust(20, "0")[:20]
        order = Order(Step(step, 1), digits, f"{service}-{digits}", f"services.{service}.job", '{"dataset": {}}')
        jobs.append(manifest(order, settings, component, needs, "12345678-1234-1234-1234-123456789012"))
    return jobs
