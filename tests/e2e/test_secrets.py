"""No value of a Secret is in what can be read without one: objects, events, logs, and what the gateway gives."""

import base64
import json

from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import Run


def test_what_can_be_read_shows_no_secret(bookmill: Bookmill, chain: Run) -> None:
    cluster = bookmill.cluster
    cluster.rolled_out()
    secrets = {f"{name}/{key}": value for name, data in cluster.secrets().items() for key, value in data.items()}
    assert len(secrets) == 3, "access key, secret key and token"
    # Pods that end are soon gone.
    pods = [pod["metadata"] for pod in cluster.get("pods") if "deletionTimestamp" not in pod["metadata"]]
    readable = {
        "objects": cluster.kubectl(
            "get", ",".join(kind for kind in cluster.kinds() if kind != "secrets"), "--output=yaml"
        ),
        "run": json.dumps(bookmill.gateway.get(chain["run"])),
        "summary": json.dumps(chain),
        **{
            f"log of {pod['name']}": cluster.kubectl("logs", pod["name"], "--all-containers", "--tail=-1")
            for pod in pods
        },
    }
    # Events and each service's words are among it.
    assert "kind: Event" in readable["objects"]
    for service in ("ingest", "clean", "chunk", "train", "export", "gateway", "trainer", "exporter"):
        assert any(readable[f"log of {pod['metadata']['name']}"] for pod in cluster.pods(service)), service
    shown = [
        f"{secret} in {where}"
        for secret, value in secrets.items()
        for where, text in readable.items()
        if value in text or base64.b64decode(value).decode() in text
    ]
    assert shown == []
