"""A finished GGUF and its Modelfile in a real Ollama, where one is installed."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.objects import Reference
from tests.integration.export_job.conftest import Finished

OLLAMA = shutil.which("ollama")
pytestmark = pytest.mark.skipif(OLLAMA is None, reason="ollama is not on PATH")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    home = tmp_path_factory.mktemp("ollama")
    environment = {**os.environ, "OLLAMA_HOST": address, "OLLAMA_MODELS": str(home / "models"), "HOME": str(home)}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([str(OLLAMA), "serve"], env=environment, stdout=log, stderr=log)
        try:
            _wait_until_it_answers(address)
            yield environment
        finally:
            process.terminate()
            process.wait(30)


def test_it_creates_and_completes(server: dict[str, str], finished: Finished, tmp_path: Path) -> None:
    store, result = finished.attempts.store, finished.result
    store.download(Reference.from_proto(result.files[0].file), tmp_path / result.files[0].file_name)
    (tmp_path / "Modelfile").write_bytes(store.read(Reference.from_proto(result.modelfile)))
    subprocess.run(
        [str(OLLAMA), "create", "tale", "-f", str(tmp_path / "Modelfile")],
        env=server,
        check=True,
        timeout=120,
        capture_output=True,
    )
    answers = [
        _post(server["OLLAMA_HOST"], "/api/generate", {"model": "tale", "prompt": "The miller", **options})
        for options in (_ask(raw=True), _ask(raw=False))
    ]
    # The template adds nothing: asked raw or not, the model reads the same and, with one seed, writes the same.
    assert answers[0]["prompt_eval_count"] == answers[1]["prompt_eval_count"]
    assert answers[0]["response"] == answers[1]["response"] != ""
    shown = _post(server["OLLAMA_HOST"], "/api/show", {"model": "tale"})
    assert shown["template"] == "{{ .Prompt }}"
    assert "completion" in shown["capabilities"]


def _ask(*, raw: bool) -> dict[str, Any]:
    return {"raw": raw, "stream": False, "options": {"num_predict": 8, "seed": 3407}}


def _post(address: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def _wait_until_it_answers(address: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/api/version", timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < until, "ollama does not answer"
            time.sleep(0.1)
        else:
            return
