"""A web server on loopback whose answers a test sets, and a clock that does not wait.

with Mirror() as mirror:
    mirror.put("/1/2/12/12-0.txt", b"Once ...")
    mirror.cut("/1/2/12/12-0.txt", after=100, times=2)
    ... mirror.url ... mirror.asked
"""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from services.ingest.addresses import Guard
from services.ingest.politeness import Backoff, Pace
from services.ingest.web import Limits, Web

ETAG = '"first"'
LIMITS = Limits(read=5.0, total=20.0)


@dataclass(slots=True)
class Answer:
    """What a path answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    """Whether Range is honoured."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Mirror:
    """The server; a context manager."""

    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    _once: dict[str, list[Answer]] = field(default_factory=dict)
    _cuts: dict[str, list[int]] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.mirror = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speaks TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def put(self, path: str, body: bytes, *, ranges: bool = True, etag: str = ETAG, **headers: str) -> None:
        """Serves a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = Answer(body, 200, ({"ETag": etag} if etag else {}) | named, ranges)

    def say(self, path: str, status: int, times: int = 1_000, **headers: str) -> None:
        """Answers the next requests with a status and a small page."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._once.setdefault(path, []).extend([Answer(b"<html>no</html>", status, named)] * times)

    def redirect(self, path: str, location: str) -> None:
        self.answers[path] = Answer(b"", 302, {"Location": location})

    def cut(self, path: str, after: int, times: int = 1) -> None:
        """The next answers break off after so many bytes, though more are announced."""
        self._cuts.setdefault(path, []).extend([after] * times)

    def silence(self, path: str) -> None:
        """Never answers."""
        self._silent.add(path)

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    mirror: Mirror


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        mirror = self.server.mirror
        mirror.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.path in mirror._silent:
            mirror._closed.wait()
            return
        once = mirror._once.get(self.path)
        answer = once.pop(0) if once else mirror.answers.get(self.path, Answer(b"nothing here", 404))
        status, headers, body = answer.status, dict(answer.headers), answer.body
        start = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        fresh = self.headers.get("If-Range", "") in ("", headers.get("ETag"), headers.get("Last-Modified"))
        if status == 200 and answer.ranges and start.isdigit() and fresh:
            if int(start) >= len(body):
                status, headers, body = 416, {"Content-Range": f"bytes */{len(body)}"}, b""
            else:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[int(start) :]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cuts = mirror._cuts.get(self.path)
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)


@dataclass(slots=True)
class StillClock:
    """Time that passes only when somebody waits, and then at once."""

    time: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def web(
    clock: StillClock,
    *,
    interval: float = 0.0,
    hosts: tuple[str, ...] = (),
    exempt: tuple[str, ...] = ("127.0.0.1", "localhost"),
    limits: Limits = LIMITS,
    attempts: int = 4,
    **more: Any,
) -> Web:
    """A web for tests: loopback is allowed, nothing waits, half of each jitter."""
    guard = Guard(hosts, exempt, **more)
    return Web(guard, Pace(interval, clock), backoff=Backoff(attempts=attempts, chance=lambda: 0.5), limits=limits)
