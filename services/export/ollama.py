"""Creating a model on an Ollama server, over its HTTP API (https://docs.ollama.com/api)."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.common.errors import BookmillError, InvalidInput, Unavailable
from services.export.modelfiles import Modelfile
from services.export.patience import Busy, Patience
from services.export.publishing_settings import PublishingSettings

# `[host[:port]/][namespace/]model[:tag]`, each part as Ollama's types/model allows it.
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_MODEL = re.compile(
    rf"(?:(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/)?[A-Za-z0-9_][A-Za-z0-9_-]{{0,79}}/)?{_PART}(?::{_PART})?"
)
_BLOCK = 1 << 20
_LINE_LIMIT = 64 << 10


def check_model(model: str) -> str:
    """Checks a model's name.

    Raises:
        InvalidInput: `BAD_NAME`.
    """
    if not _MODEL.fullmatch(model):
        raise InvalidInput(
            "BAD_NAME",
            f"{model!r} is no name of an Ollama model: use one like `horror` or `me/horror:latest`",
            field="model",
        )
    return model


class Ollama:
    """An Ollama server. Its calls block."""

    def __init__(self, settings: PublishingSettings) -> None:
        self._settings = settings

    def create(
        self, model: str, file_name: str, file: Path, sha256: str, modelfile: Modelfile, patience: Patience
    ) -> str:
        """Creates or replaces a model of one GGUF file.

        Args:
            model: its name on the server.
            file_name: what the file is called there.
            file: verified to have the SHA-256.
            sha256: its digest.
            modelfile: template and parameters.
            patience: the limits.

        Returns:
            The model's name.

        Raises:
            InvalidInput: `BAD_NAME`.
            Unavailable: `OLLAMA_UNAVAILABLE`.
            DeadlineExceeded, Cancelled: as `Patience.check`.
        """
        check_model(model)
        with self._client(patience) as client:
            patience.repeat(lambda: self._put_blob(client, file, sha256, patience))
            wanted = {
                "model": model,
                "files": {file_name: f"sha256:{sha256}"},
                "template": modelfile.template,
                "system": modelfile.system,
                "parameters": modelfile.parameters or None,
                "stream": True,
            }
            patience.repeat(lambda: self._create(client, wanted, patience))
        return model

    @contextmanager
    def _client(self, patience: Patience) -> Iterator[httpx.Client]:
        idle = patience.left(self._settings.idle_seconds)
        timeout = httpx.Timeout(idle, connect=patience.left(self._settings.connect_seconds))
        address = self._settings.ollama_address
        try:
            # trust_env off: the server is an address that a setting names, never behind a proxy of the environment.
            with httpx.Client(base_url=address, timeout=timeout, trust_env=False) as client:
                yield client
        except BookmillError:
            raise
        except (Busy, httpx.HTTPError, ValueError) as error:
            said = error.what if isinstance(error, Busy) else f"{type(error).__name__} {error}"
            raise Unavailable("OLLAMA_UNAVAILABLE", f"Ollama at {address} fails: {said}") from error

    def _put_blob(self, client: httpx.Client, file: Path, sha256: str, patience: Patience) -> None:
        path = f"/api/blobs/sha256:{sha256}"
        with _busy_when_down():
            if _checked(client.head(path), missing_is_fine=True).status_code == 200:
                return
            with file.open("rb") as data:
                length = str(file.stat().st_size)
                response = client.post(path, content=_blocks(data, patience), headers={"Content-Length": length})
            _checked(response)

    def _create(self, client: httpx.Client, wanted: dict[str, Any], patience: Patience) -> None:
        idle = patience.left(self._settings.create_idle_seconds)
        asked = {name: value for name, value in wanted.items() if value is not None}
        with _busy_when_down(), client.stream("POST", "/api/create", json=asked, timeout=idle) as response:
            if response.status_code != 200:
                response.read()
                _checked(response)
            status = ""
            for line in _lines(response):
                patience.check()
                event = json.loads(line)
                if "error" in event:
                    raise Unavailable("OLLAMA_UNAVAILABLE", f"Ollama could not create the model: {event['error']}")
                status = event.get("status", "")
        if status != "success":
            raise Busy(f"the answer of /api/create ended at {status!r}, before `success`")


def _lines(response: httpx.Response) -> Iterator[str]:
    for line in response.iter_lines():
        if len(line) > _LINE_LIMIT:
            raise ValueError("a line of progress is longer than 64 KiB")
        if line.strip():
            yield line


def _blocks(file: Any, patience: Patience) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        patience.check()
        yield block


@contextmanager
def _busy_when_down() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise Busy(f"{type(error).__name__} {error}".rstrip()) from error


def _checked(response: httpx.Response, missing_is_fine: bool = False) -> httpx.Response:
    if response.is_success or (missing_is_fine and response.status_code == 404):
        return response
    said = f"{response.request.method} {response.request.url.path} answered {response.status_code} {_error(response)}"
    if response.status_code >= 500 or response.status_code in (408, 429):
        raise Busy(said.rstrip())
    raise Unavailable("OLLAMA_UNAVAILABLE", f"Ollama refuses: {said}".rstrip())


def _error(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return ""
