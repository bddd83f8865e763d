"""Creating a model on Ollama: what is sent, and what happens on a bad day."""

import hashlib
from pathlib import Path

import pytest

from services.common.errors import BookmillError
from services.export.modelfiles import Modelfile
from services.export.ollama import Ollama, check_model
from services.export.patience import Patience
from services.export.publishing_settings import PublishingSettings
from tests.support.ollama import OllamaDouble

DATA = b"GGUF" + bytes(range(256)) * 9000
SHA256 = hashlib.sha256(DATA).hexdigest()
RECIPE = Modelfile(template="{{ .Prompt }}", parameters={"num_ctx": 256, "stop": ["<end>"]})


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(DATA)
    return path


def create(address: str, gguf: Path, sha256: str = SHA256, patience: Patience | None = None) -> str:
    settings = PublishingSettings(ollama_address=address, idle_seconds=5)
    return Ollama(settings).create("tale", "m.gguf", gguf, sha256, RECIPE, patience or Patience(20, 3, 0.01, 1))


def test_the_file_is_sent_once_and_the_model_made_of_it(gguf: Path) -> None:
    with OllamaDouble() as ollama:
        assert create(ollama.url, gguf) == "tale"
        assert ollama.blobs == {SHA256: DATA}
        assert ollama.models["tale"] == {
            "model": "tale", "files": {"m.gguf": f"sha256:{SHA256}"}, "template": "{{ .Prompt }}",
            "parameters": {"num_ctx": 256, "stop": ["<end>"]}, "stream": True,
        }  # fmt: skip
        create(ollama.url, gguf)
        assert [m for m, _ in ollama.requests] == ["HEAD", "POST", "POST", "HEAD", "POST"]


@pytest.mark.parametrize("status", [500, 503, 429, 0])
@pytest.mark.parametrize(("method", "path"), [("HEAD", "blobs"), ("POST", "blobs"), ("POST", "create")])
def test_two_failures_are_survived(gguf: Path, method: str, path: str, status: int) -> None:
    with OllamaDouble() as ollama:
        ollama.faults = [(method, path, status, b"")] * 2
        create(ollama.url, gguf)
        assert "tale" in ollama.models
        assert ollama.faults == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([{"status": "parsing GGUF"}, {"error": "invalid file magic"}], "invalid file magic"),
        ([{"status": "parsing GGUF"}], "parsing GGUF"),
        ([], "ended"),
    ],
)
def test_a_creation_without_success_is_no_success(gguf: Path, events: list[dict[str, str]], said: str) -> None:
    with OllamaDouble() as ollama:
        ollama.events = events
        with pytest.raises(BookmillError) as caught:
            create(ollama.url, gguf)
        assert caught.value.reason == "OLLAMA_UNAVAILABLE"
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"error": "bad parameter"}', "bad parameter"),
        (403, b"", "403"),
        (200, b"<html>not Ollama</html>\n", "OLLAMA_UNAVAILABLE"),
        (200, b"x" * 100_000, "64 KiB"),
    ],
)
def test_what_is_no_answer_of_ollama_is_said(gguf: Path, status: int, body: bytes, said: str) -> None:
    with OllamaDouble() as ollama:
        ollama.faults = [("POST", "create", status, body)] * 3
        with pytest.raises(BookmillError) as caught:
            create(ollama.url, gguf)
        assert caught.value.reason == "OLLAMA_UNAVAILABLE"
        assert said in str(caught.value)


def test_a_file_that_is_not_its_digest_is_refused_by_the_server(gguf: Path) -> None:
    with OllamaDouble() as ollama:
        with pytest.raises(BookmillError, match="digest mismatch"):
            create(ollama.url, gguf, "0" * 64)
        assert ollama.models == {}


def test_no_server_is_said_with_its_address(gguf: Path) -> None:
    with OllamaDouble() as ollama:
        address = ollama.url
    with pytest.raises(BookmillError) as caught:
        create(address, gguf)
    assert caught.value.reason == "OLLAMA_UNAVAILABLE"
    assert address in caught.value.message


def test_a_stop_is_obeyed(gguf: Path) -> None:
    patience = Patience(20, 3, 0.01, 1)
    patience.stopped.set()
    with OllamaDouble() as ollama:
        with pytest.raises(BookmillError) as caught:
            create(ollama.url, gguf, patience=patience)
        assert caught.value.reason == "CANCELLED"
        assert ollama.requests == []


@pytest.mark.parametrize(
    "name", ["horror", "me/horror:latest", "host.example:5000/me/horror:q4", "a.b-c_d:1.0", "UPPER"]
)
def test_names_that_are_fine(name: str) -> None:
    assert check_model(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "/a", "a/", "a:", "a:b:c", "-a", "../x", "a/b/c/d", "x" * 81, "é", "a\n"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(BookmillError) as caught:
        check_model(name)
    assert caught.value.reason == "BAD_NAME"
