"""Ollama in the cluster serves the finished model, which a run pushed to it."""

import json
from collections.abc import Iterator

import pytest

from tests.support.e2e_cluster import Object
from tests.support.e2e_release import CLIENT, STORE_NODE, Bookmill
from tests.support.e2e_runs import Run

pytestmark = pytest.mark.faults


@pytest.fixture
def ollama(bookmill: Bookmill) -> Iterator[str]:
    """An Ollama server beside the release; its address."""
    bookmill.cluster.apply(*_server(bookmill.cluster.image_of("OLLAMA_IMAGE")))
    bookmill.cluster.kubectl("wait", "pod/ollama", "--for=condition=Ready", "--timeout=180s")
    yield "http://ollama:11434"
    bookmill.cluster.delete("pod", "ollama")
    bookmill.cluster.delete("service", "ollama")


def test_it_serves_the_model(bookmill: Bookmill, chain: Run, ollama: str) -> None:
    run = bookmill.gateway.create(bookmill.spec(publish={"ollama_model": "tales"}))
    summary = bookmill.gateway.finished(run["name"])
    # Published is what was verified, and nothing was computed again.
    assert summary["files"] == chain["files"]
    (published,) = summary["publications"]
    assert "tales" in json.dumps(published)
    answer = bookmill.cluster.run_in(CLIENT, "python", "-c", _GENERATE, ollama, timeout=180)
    told = json.loads(answer)
    assert told["done"] is True
    assert told["eval_count"] >= 1


_GENERATE = """
import json, sys, urllib.request
body = {"model": "tales", "prompt": "The lamp", "raw": True, "stream": False, "options": {"num_predict": 8, "seed": 1}}
kind = {"Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1] + "/api/generate", json.dumps(body).encode(), kind)
print(urllib.request.urlopen(request, timeout=150).read().decode())
"""


def _server(image: str) -> list[Object]:
    container = {
        "name": "ollama",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "OLLAMA_HOST", "value": "0.0.0.0:11434"}, {"name": "HOME", "value": "/models"}],
        "readinessProbe": {"httpGet": {"path": "/api/version", "port": 11434}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [{"name": "models", "mountPath": "/models"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ollama", "labels": {"app": "ollama"}},
        "spec": {
            "automountServiceAccountToken": False,
            "nodeSelector": STORE_NODE,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "models", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }
    spec = {"selector": {"app": "ollama"}, "ports": [{"port": 11434}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ollama"}, "spec": spec}
    return [pod, service]
