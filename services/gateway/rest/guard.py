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
from services.common.errors import BookmillError, PermissionDenied, Unauthenticated
from services.gateway.bearer import Bearer
from services.gateway.rest import links
from services.gateway.rest.wire import error_body, status_of
from services.gateway.web.pages import PAGES

_log = logging.getLogger(__name__)

_SAFE = {"GET", "HEAD", "OPTIONS"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/healthz", "/readyz"}
# Probes bring no token. The pages are the same for everyone: they ask their reader for the token.
_OPEN = _QUIET | PAGES


class Guard:
    """Refuses who does not bring the token, and what a page of another site sends through its reader's browser.

    A gateway without a token trusts whoever reaches its address, and a browser on the same machine does. Another site's
    page can send a request to loopback with its own Origin, or have its own name resolved to loopback; neither is
    answered.

    Args:
        app: what is guarded.
        allowed_hosts: names that the Host header may hold; `*` allows any.
        bearer: the token that every path but probes and pages asks for; None where none does.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], bearer: Bearer | None) -> None:
        self._app = app
        self._bearer = bearer
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
                    answer = JSONResponse(error_body(refusal), status_of(refusal), _challenge(refusal))
                    await answer(scope, receive, sending)
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
        if self._bearer is None or scope["path"] in _OPEN:
            return None
        try:
            query = scope["query_string"]
            if scope["method"] in {"GET", "HEAD"} and "authorization" not in headers and links.is_link(query):
                links.check_link(scope["path"], query, self._bearer.token(), time.time())
            else:
                self._bearer.check(headers.get("authorization"))
        except Unauthenticated as error:
            return error
        return None


def _challenge(refusal: BookmillError) -> dict[str, str] | None:
    if not isinstance(refusal, Unauthenticated):
        return None
    # RFC 6750, section 3: the error code only where a token was given.
    error = ', error="invalid_token"' if refusal.reason == "BAD_TOKEN" else ""
    return {"WWW-Authenticate": f'Bearer realm="bookmill"{error}'}
