"""A Kubernetes API on loopback with Jobs alone in it, for what a real cluster does not do when asked to: fail."""

import json
import threading
import uuid
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2
"""Objects of a page, whatever is asked for."""


class ApiServer:
    """Jobs that stay as a test puts them."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.answers: deque[tuple[int, str] | None] = deque()
        """What the next calls are answered with, status and message, in place of what they ask; None breaks off."""
        self.calls: list[str] = []
        """Verb and path of each."""
        owner = self

        class Handler(_Handler):
            api = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def write_kubeconfig(self, path: Path) -> Path:
        address = f"http://127.0.0.1:{self._server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._begin():
            return
        parts = urlsplit(self.path)
        kind, _, name = parts.path.partition("/namespaces/books/")[2].partition("/")
        if name:
            self._answer(*((200, self.api.jobs[name]) if name in self.api.jobs else _status(404, "not found")))
            return
        found = list(self.api.jobs.values()) if kind == "jobs" else []
        start = int(parse_qs(parts.query).get("continue", ["0"])[0])
        more = {"continue": str(start + PAGE)} if len(found) > start + PAGE else {}
        self._answer(200, {"kind": "List", "metadata": more, "items": found[start : start + PAGE]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._begin():
            return
        name = body["metadata"]["name"]
        if name in self.api.jobs:
            self._answer(*_status(409, "already exists"))
            return
        body["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-11-24T23:00:00Z"}
        self.api.jobs[name] = {**body, "status": {}}
        self._answer(201, body)

    def do_DELETE(self) -> None:
        options = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._begin():
            return
        name = self.path.rpartition("/")[2].partition("?")[0]
        assert options["propagationPolicy"] == "Foreground"
        if name not in self.api.jobs:
            self._answer(*_status(404, "not found"))
            return
        self.api.jobs[name]["metadata"]["deletionTimestamp"] = "2026-11-24T23:00:01Z"
        self._answer(200, self.api.jobs[name])

    def log_message(self, *_: Any) -> None: ...

    def _begin(self) -> bool:
        """Notes a call; True when it is answered already."""
        self.api.calls.append(f"{self.command} {self.path.partition('?')[0]}")
        if not self.api.answers:
            return False
        answer = self.api.answers.popleft()
        if answer is None:
            self.close_connection = True
        else:
            self._answer(*_status(*answer))
        return True

    def _answer(self, code: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(code: int, message: str) -> tuple[int, Any]:
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}
