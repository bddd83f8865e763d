"""Around each HTTP request: whom it is answered, its id, one log line."""

import logging
import re
import time
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import telemetry
from services.common.errors import BookmillError, PermissionDenied
from services.gateway.http_wire import error_body, status_of

_log = logging.getLogger(__name__)

_SAFE = {"GET", "HEAD", "OPTIONS"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/healthz", "/readyz"}


class Guard:
    """Refuses what a page of another site sends through its reader's browser, and logs the rest.

    The gateway trusts whoever reaches its address, and a browser on the same machine does. Another site's page can
    send a request to loopback with its own Origin, or have its own name resolved to loopback; neither is answered.

    Args:
        app: what is guarded.
        allowed_hosts: names that the Host header may hold; `*` allows any.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        begun, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with telemetry.identified(request_id):
            try:
                refusal = self._refusal(scope, headers)
                if refusal is not None:
                    await JSONResponse(error_body(refusal), status_of(refusal))(scope, receive, sending)
                    return
                await self._app(scope, receive, sending)
            finally:
                if scope["path"] not in _QUIET:
                    fields = {"method": scope["method"], "path": scope["path"], "status": status}
                    _log.info("request", extra={**fields, "seconds": round(time.monotonic() - begun, 4)})

    def _refusal(self, scope: Scope, headers: Headers) -> BookmillError | None:
        host = headers.get("host", "").lower()
        name = re.sub(r":\d+$", "", host)
        # A probe asks by the pod's address, which no setting can know.
        if "*" not in self._allowed and name not in self._allowed and scope["path"] not in _QUIET:
            choices = ", ".join(sorted(self._allowed))
            message = f"host {name[:80]!r} is not answered; it is one of {choices} (BOOKMILL_GATEWAY_ALLOWED_HOSTS)"
            return PermissionDenied("HOST_NOT_ALLOWED", message, choices=choices)
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in _SAFE and urlsplit(origin).netloc.lower() != host:
            return PermissionDenied("CROSS_ORIGIN", f"a page of {origin[:80]!r} may not change anything here")
        return None
