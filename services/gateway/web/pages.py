"""The web page, and the documentation of the REST API: single files that load nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

_FOLDER = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def pages_router() -> APIRouter:
    """Makes the routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def runs() -> HTMLResponse:
        return HTMLResponse((_FOLDER / "runs.html").read_text(encoding="utf-8"), headers=_HEADERS)

    @router.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse((_FOLDER / "docs.html").read_text(encoding="utf-8"), headers=_HEADERS)

    return router
