"""The example catalogue with faults: what a real one does on its bad days, on request.

with Faulty(TALES) as catalogue:
    catalogue.fail("/books/", TOO_MANY, times=2)
    ... catalogue.url ... catalogue.asked("/books/")
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from deploy.examples.answers import Answer, Request
from deploy.examples.catalogue import PAGE_SIZE, TALES, catalogue
from deploy.examples.serving import Responder, Server
from deploy.examples.shelf import Shelf

__all__ = ["EMPTY", "GARBAGE", "HTML", "SERVER_ERROR", "TALES", "TOO_MANY", "UNAVAILABLE", "Faulty"]

TOO_MANY = Answer(429, b"slow down", {"Retry-After": "1", "Content-Type": "text/plain"})
SERVER_ERROR = Answer(500, b"<h1>Server Error (500)</h1>", {"Content-Type": "text/html"})
UNAVAILABLE = Answer(503, b"", {"Retry-After": "1"})
HTML = Answer(
    200,
    b"<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body>Are you human?</body></html>",
    {"Content-Type": "text/html"},
)
GARBAGE = Answer(200, b'{"count": 3, "next": nul', {"Content-Type": "application/json"})
EMPTY = Answer(200, b"", {"Content-Type": "text/plain"})


@dataclass(slots=True)
class _Fault:
    path: str
    answer: Callable[[Request, Responder], Answer]
    times: int


@dataclass(slots=True)
class Faulty:
    """A catalogue of `folder` that fails as told. A context manager."""

    folder: Path = TALES
    page_size: int = PAGE_SIZE
    requests: list[Request] = field(default_factory=list)
    """Every request so far, in order."""
    _faults: list[_Fault] = field(default_factory=list)
    _released: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: Server | None = None

    def __enter__(self) -> Self:
        self._server = Server(self._respond)
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        assert self._server is not None
        return self._server.url

    def fail(self, path: str, answer: Answer, times: int = 1_000_000) -> None:
        """The next `times` requests below `path` get `answer`."""
        self._add(path, lambda _request, _respond: answer, times)

    def hang(self, path: str, times: int = 1_000_000) -> None:
        """The next `times` requests below `path` get no answer before the catalogue is closed."""

        def wait(_request: Request, _respond: Responder) -> Answer:
            self._released.wait()
            return SERVER_ERROR

        self._add(path, wait, times)

    def cut(self, path: str, after: int, times: int = 1) -> None:
        """The next `times` answers below `path` end after `after` bytes though more are announced."""

        def shorten(request: Request, respond: Responder) -> Answer:
            whole = respond(request)
            length = whole.headers.get("Content-Length", str(len(whole.body)))
            return Answer(whole.status, whole.body[:after], {**whole.headers, "Content-Length": length})

        self._add(path, shorten, times)

    def reorder(self, after: int = 1) -> None:
        """The books change places (downloads are counted anew) once `after` pages were given."""
        shelf = Shelf.read(self.folder)
        turned = catalogue(Shelf(shelf.folder, (*shelf.records[1:], shelf.records[0])), self.page_size)
        given = iter(range(1_000_000))
        self._add(
            "/books/",
            lambda request, respond: (respond if next(given) < after else turned)(request),
            1_000_000,
        )

    def asked(self, path: str) -> list[Request]:
        """The requests below `path` so far."""
        return [request for request in self.requests if request.path.startswith(path)]

    def _add(self, path: str, answer: Callable[[Request, Responder], Answer], times: int) -> None:
        with self._lock:
            self._faults.append(_Fault(path, answer, times))

    def _respond(self, request: Request) -> Answer:
        honest = catalogue(Shelf.read(self.folder), self.page_size)
        with self._lock:
            self.requests.append(request)
            fault = next((f for f in self._faults if f.times > 0 and request.path.startswith(f.path)), None)
            if fault:
                fault.times -= 1
        return fault.answer(request, honest) if fault else honest(request)
