"""The HTTP client under huggingface_hub, with the deadlines and the honesty that its own lacks.

huggingface_hub's default client has no timeout, repeats five times whatever the server asks it to wait,
and sends files through a deprecated argument. Here a request fails at once as `Busy`, and
`Patience.repeat` is the one place that waits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO, Any

# Before the import, which reads them once. Plain HTTP uploads: Xet is a second protocol with its own servers,
# and needs a native package. No token that lies about on the machine is ever taken.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")

import httpx
from huggingface_hub import set_client_factory

from services.export.patience import Busy, Patience

_BLOCK = 1 << 20
_BUSY = frozenset({408, 412, 425, 429, 500, 502, 503, 504})  # 412: a commit came in between


@dataclass(frozen=True, slots=True)
class _Limits:
    patience: Patience
    connect_seconds: float
    idle_seconds: float


_limits: ContextVar[_Limits | None] = ContextVar("hub_limits", default=None)


@contextmanager
def limited(patience: Patience, connect_seconds: float, idle_seconds: float) -> Iterator[None]:
    """Puts every request that this thread makes through huggingface_hub under limits."""
    token = _limits.set(_Limits(patience, connect_seconds, idle_seconds))
    try:
        yield
    finally:
        _limits.reset(token)


class _Client(httpx.Client):
    def __init__(self) -> None:
        super().__init__(follow_redirects=True, timeout=60.0)

    def request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Response:
        limits = _limits.get()
        if limits is None:
            return super().request(method, url, **options)
        limits.patience.check()
        if hasattr(options.get("data"), "read"):
            file = options.pop("data")
            options["headers"] = {**(options.get("headers") or {}), "Content-Length": str(_rest(file))}
            options["content"] = _blocks(file, limits.patience)
        idle = limits.patience.left(limits.idle_seconds)
        options["timeout"] = httpx.Timeout(idle, connect=min(idle, limits.connect_seconds))
        try:
            response = super().request(method, url, **options)
        except httpx.TransportError as error:
            raise Busy(f"{method} {_place(url)}: {type(error).__name__} {error}".rstrip()) from error
        conflict = response.status_code == 409 and b"conflicting operation is in progress" in response.content
        if response.status_code in _BUSY or conflict:
            raise Busy(f"{method} {_place(url)} answered {response.status_code}", _wait(response))
        return response


def _rest(file: IO[bytes]) -> int:
    place = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(place)
    return end - place


def _blocks(file: IO[bytes], patience: Patience) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        patience.check()
        yield block


def _place(url: httpx.URL | str) -> str:
    # Without the query: the addresses of uploads are signed.
    return str(httpx.URL(url).copy_with(query=None))


def _wait(response: httpx.Response) -> float | None:
    asked = response.headers.get("Retry-After", "").strip()
    return float(asked) if asked.isdecimal() else None


# huggingface_hub keeps one client for the whole process, made by this; the limits come with each request.
set_client_factory(_Client)
