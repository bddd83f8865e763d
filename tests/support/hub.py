"""An honest double of the Hugging Face Hub, on loopback.

    with HubDouble() as hub:
        commit = hub.add_model("org/tiny", {"config.json": b"{}"}, licence="apache-2.0")
        ...  HfApi(endpoint=hub.url, token=WRITE_TOKEN) or plain HTTP ...
        assert hub.files("me/horror", "model") == {"README.md": b"..."}

It keeps the bytes, checks SHA-256 of large files, tokens, owners, gates and front matter, and
answers with the Hub's statuses and `X-Error-Code`s. As at the real one, a large file is served
by another host (`localhost` instead of `127.0.0.1`) at a signed address that refuses a token.
Faults come on request: `hub.fail("POST", r"/commit/", 500, times=1)`.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.support.hub_http import Reply, Request, Routes
from tests.support.hub_repositories import Blobs, Commit, HubError, Repository, User

__all__ = ["ORG_TOKEN", "READ_TOKEN", "WRITE_TOKEN", "HubDouble"]

WRITE_TOKEN = "hf_test_write"
"""Of user `me`, may write `me/…`."""
READ_TOKEN = "hf_test_read"
"""Of user `me`, may read."""
ORG_TOKEN = "hf_test_org"
"""Of user `member`, may write `member/…` and `house/…`."""

TOKENS = {
    WRITE_TOKEN: User("me"),
    READ_TOKEN: User("me", "read"),
    ORG_TOKEN: User("member", "write", ("house",)),
}


@dataclass(slots=True)
class _Fault:
    method: str
    path: re.Pattern[str]
    status: int
    times: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    after: bool


@dataclass
class HubDouble:
    """The double; a context manager."""

    tokens: Mapping[str, User] = field(default_factory=lambda: dict(TOKENS))
    other_host: bool = True
    """Serve large files under another host's name."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request so far, in order."""
    tokens_seen: set[str] = field(default_factory=set)
    """Every bearer token that came."""

    def __enter__(self) -> Self:
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._blobs = Blobs()
        self._routes = Routes({}, self._blobs)
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        port = self._server.server_address[1]
        self._routes.url = f"http://127.0.0.1:{port}"
        self._routes.cdn = f"http://localhost:{port}" if self.other_host else self._routes.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._blobs.close()

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._routes.url

    def add_model(
        self,
        repo: str,
        files: Mapping[str, bytes],
        revision: str = "main",
        gated: str | bool = False,
        licence: str = "",
        private: bool = False,
        granted: Collection[str] | None = None,
        kind: str = "model",
    ) -> str:
        """Adds a commit that holds exactly these files, and gives its id; another revision than `main` is a tag."""
        key = (f"{kind}s", repo)
        repository = self._routes.repositories.setdefault(key, Repository(*key))
        repository.gated, repository.licence, repository.private = gated, licence, private
        repository.granted = granted
        kept = {path: self._blobs.put(path, data) for path, data in files.items()}
        commit = repository.append(f"Upload {len(kept)} files", "", repository.owner, kept)
        if revision != "main":
            repository.tags[revision] = commit.oid
        return commit.oid

    def repository(self, repo: str, kind: str = "model") -> Repository | None:
        """Finds a repository."""
        return self._routes.repositories.get((f"{kind}s", repo))

    def commits(self, repo: str, kind: str = "model") -> list[Commit]:
        """Lists the commits of a repository, the oldest first; a created one starts with `initial commit`."""
        found = self.repository(repo, kind)
        return list(found.commits) if found else []

    def files(self, repo: str, kind: str = "model") -> dict[str, bytes]:
        """Reads every file at the head of a repository."""
        found = self.repository(repo, kind)
        if found is None:
            return {}
        return {path: self._blobs.path(file.sha256).read_bytes() for path, file in found.head.files.items()}

    def change(self, repo: str, path: str, data: bytes, kind: str = "model") -> None:
        """Serves other bytes for a file under its old names: what a broken mirror does."""
        found = self.repository(repo, kind)
        assert found is not None
        self._blobs.path(found.head.files[path].sha256).write_bytes(data)

    def fail(
        self, method: str, path: str, status: int, times: int = 1, *,
        headers: Mapping[str, str] | None = None, body: bytes = b"", seconds: float = 0, after: bool = False,
    ) -> None:  # fmt: skip
        """Answers the next requests of that kind so.

        Args:
            method: of the request, or `*`.
            path: a regular expression that is found in its path.
            status: of the answer; 0 closes the connection without one.
            times: how often.
            headers: of the answer.
            body: of the answer.
            seconds: to wait first (cut short when the double closes).
            after: do what was asked all the same and lose only the answer.
        """
        fault = _Fault(method, re.compile(path), status, times, headers or {}, body, seconds, after)
        self._faults.append(fault)

    def asked(self, method: str, path: str) -> int:
        """Counts requests by method and a regular expression on their path."""
        return sum(m == method and re.search(path, p) is not None for m, p in self.requests)

    def take_fault(self, method: str, path: str) -> _Fault | None:
        """Finds the fault that is due for a request."""
        with self._lock:
            self.requests.append((method, path))
            for fault in self._faults:
                if fault.times > 0 and fault.method in ("*", method) and fault.path.search(path):
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: HubDouble


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        hub = self.server.hub
        fault = hub.take_fault(self.command, self.path)
        if fault is not None and fault.seconds:
            hub._closed.wait(fault.seconds)
        self._left = int(self.headers.get("Content-Length") or 0)
        if fault is None or fault.after:
            reply = self._reply(hub)
        else:
            reply = Reply(fault.status, fault.body, dict(fault.headers))
        if fault is not None and fault.status == 0:
            self.close_connection = True
            return
        if fault is not None and fault.after:
            reply = Reply(fault.status, fault.body, dict(fault.headers))
        self._drain()
        self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _reply(self, hub: HubDouble) -> Reply:
        try:
            return hub._routes.answer(self._request(hub))
        except HubError as error:
            headers = {"Content-Type": "application/json", "X-Error-Message": error.message}
            if error.code:
                headers["X-Error-Code"] = error.code
            return Reply(error.status, json.dumps({"error": error.message, **error.body}).encode(), headers)

    def _request(self, hub: HubDouble) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        user = None
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token:
            hub.tokens_seen.add(token)
            user = hub.tokens.get(token)
            if user is None and not self.path.startswith(("/cdn/", "/upload/")):
                raise HubError(401, "Invalid credentials in Authorization header")
        return Request(self.command, self.path, headers, user, self._body, self._save)

    def _body(self) -> bytes:
        data = self.rfile.read(self._left)
        self._left = 0
        return data

    def _save(self, name: str) -> str:
        digest = hashlib.sha256()
        with self.server.hub._blobs.part(name).open("wb") as file:
            while self._left:
                block = self.rfile.read(min(self._left, 1 << 20))
                if not block:
                    raise HubError(400, "IncompleteBody")
                self._left -= len(block)
                digest.update(block)
                file.write(block)
        return digest.hexdigest()

    def _drain(self) -> None:
        while self._left and (block := self.rfile.read(min(self._left, 1 << 20))):
            self._left -= len(block)

    def _send(self, reply: Reply) -> None:
        if reply.file is None:
            self._head(reply.status, len(reply.body), reply.headers)
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            return
        path = self.server.hub._blobs.path(reply.file.sha256)
        size = path.stat().st_size
        first, last = 0, size - 1
        status, headers = reply.status, dict(reply.headers)
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or last), last)
            if first >= size:
                self._head(416, 0, {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head(status, last - first + 1, headers)
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left and (block := file.read(min(left, 1 << 20))):
                self.wfile.write(block)
                left -= len(block)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Request-Id", f"double-{time.monotonic_ns()}")
        self.end_headers()
