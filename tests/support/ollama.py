"""A double of an Ollama server's create API, on loopback: it keeps blobs and checks their SHA-256.

For the faults that the real one does not have on request; `tests/integration/export_publishing/test_ollama.py`
uses the real one where it is installed.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class OllamaDouble:
    """The double; a context manager."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str, int, bytes]] = []
        """Method, a regular expression on the path, status (0 closes the connection) and body; each used once."""
        self.events: list[dict[str, Any]] = [{"status": "parsing GGUF"}, {"status": "success"}]
        """What creating a model answers."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.double = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    double: OllamaDouble


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        double = self.server.double
        double.requests.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for fault in double.faults:
            if fault[0] == self.command and re.search(fault[1], self.path):
                double.faults.remove(fault)
                if fault[2] == 0:
                    self.close_connection = True
                    return
                self._answer(fault[2], fault[3])
                return
        if found := re.fullmatch(r"/api/blobs/sha256:([0-9a-f]{64})", self.path):
            self._blob(found[1], body)
        elif self.path == "/api/create" and self.command == "POST":
            self._create(json.loads(body))
        else:
            self._answer(404, b'{"error": "not found"}')

    do_GET = do_HEAD = do_POST = _serve

    def _blob(self, sha256: str, body: bytes) -> None:
        blobs = self.server.double.blobs
        if self.command == "HEAD":
            self._answer(200 if sha256 in blobs else 404)
        elif hashlib.sha256(body).hexdigest() != sha256:
            self._answer(400, b'{"error": "digest mismatch"}')
        else:
            blobs[sha256] = body
            self._answer(201)

    def _create(self, wanted: dict[str, Any]) -> None:
        double = self.server.double
        missing = [d for d in wanted["files"].values() if d.removeprefix("sha256:") not in double.blobs]
        if missing:
            self._answer(400, json.dumps({"error": f"blob {missing[0]} not found"}).encode())
            return
        if {"status": "success"} in double.events:
            double.models[wanted["model"]] = wanted
        self._answer(200, b"".join(json.dumps(event).encode() + b"\n" for event in double.events))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
