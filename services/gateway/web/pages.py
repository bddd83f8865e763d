"""The web page, and the documentation of the REST API: files of our own that load nothing from elsewhere."""

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

_FOLDER = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FILES = {
    "/": ("runs.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/web/runs.css": ("runs.css", "text/css; charset=utf-8"),
    "/web/gateway.js": ("gateway.js", "text/javascript; charset=utf-8"),
    "/web/runs.js": ("runs.js", "text/javascript; charset=utf-8"),
    "/web/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
PAGES = frozenset(_FILES)
"""Their paths. They hold nothing of a run, so that no token is needed to read them."""


def pages_router() -> APIRouter:
    """Makes the routes."""
    router = APIRouter(include_in_schema=False)
    for path, (name, kind) in _FILES.items():
        router.add_api_route(path, _page(_FOLDER / name, kind), response_class=FileResponse)
    return router


def _page(path: Path, kind: str) -> Callable[[], FileResponse]:
    def page() -> FileResponse:
        return FileResponse(path, media_type=kind, headers=_HEADERS)

    return page
