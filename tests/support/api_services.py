"""The train or the export service with its Jobs on an API server of `api_server`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.api_server import ApiServer
from tests.support.fake_jobs import Workplace
from tests.support.job_service import JobService

CLUSTER = {"namespace": "books", "image": "bookmill/job:1", "storeSecret": "store"}


def environment(place: Workplace, server: ApiServer, folder: Path, service: str, **cluster: Any) -> dict[str, str]:
    """Gives the settings of a service, with a file that says of the cluster what a test wants."""
    file = folder / "cluster.yaml"
    file.write_text(yaml.safe_dump({**CLUSTER, **cluster}))
    return {
        **place.environment,
        "KUBECONFIG": str(server.write_kubeconfig(folder / "kubeconfig")),
        f"BOOKMILL_{service.upper()}_LAUNCHER": "kubernetes",
        f"BOOKMILL_{service.upper()}_CLUSTER_FILE": str(file),
    }


def serve(place: Workplace, server: ApiServer, folder: Path, service: str, **cluster: Any) -> JobService:
    given = environment(place, server, folder, service, **cluster)
    return JobService(f"services.{service}", given, folder / f"{service}.log")


def refused(place: Workplace, server: ApiServer, folder: Path, service: str, **cluster: Any) -> str:
    """Starts a service that ends at once, and gives what it says."""
    given = environment(place, server, folder, service, **cluster)
    command = [sys.executable, "-m", f"services.{service}"]
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    return ended.stderr
