"""Ollama in the cluster serves the finished model, which a run pushed to it."""

import json
from collections.abc import Iterator

import pytest

from tests.support.e2e_release import CLIENT, Bookmill
from tests.support.e2e_runs import Run
from tests.support.e2e_servers import server

pytestmark = pytest.mark.faults


@pytest.fixture
def ollama(bookmill: Bookmill) -> Iterator[str]:
    """An Ollama server beside the release; its address."""
    image = bookmill.cluster.image_of("OLLAMA_IMAGE")
    environment = {"OLLAMA_HOST": "0.0.0.0:11434"}
    bookmill.cluster.apply(
        *server("ollama", image, 11434, "/api/version", data="/models", environment=environment, memory="2Gi")
    )
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
