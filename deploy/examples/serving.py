"""The HTTP server under the catalogue: any function from a request to an answer, on threads."""

import contextlib
import functools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from deploy.examples.answers import Answer, Request

Responder = Callable[[Request], Answer]


class Server:
    """A running catalogue."""

    def __init__(self, respond: Responder, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"respond": staticmethod(respond)})
        self._http = ThreadingHTTPServer((host, port), handler)
        self._http.daemon_threads = True
        self.url = f"http://{host}:{self._http.server_port}"
        """The address, without a slash at its end."""
        loop = functools.partial(self._http.serve_forever, poll_interval=0.05)
        self._thread = threading.Thread(target=loop, name="catalogue", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening. Requests that are being answered are not waited for."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    respond: Responder
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        # Only HTTP/1.0 lets a client leave Host out; then it is sent back to the address it came to.
        host = self.headers.get("Host") or "{}:{}".format(*self.connection.getsockname())
        headers = dict(self.headers.items())
        answer = self.respond(Request(parts.path, parts.query, f"http://{host}", self.command, headers))
        with contextlib.suppress(ConnectionError):  # the client may leave whenever it likes
            self._send(answer)

    do_HEAD = do_GET

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        # A body that is shorter than it says can only end with the connection.
        if int(answer.headers.get("Content-Length", len(answer.body))) != len(answer.body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing: a demo's output is the demo's."""
