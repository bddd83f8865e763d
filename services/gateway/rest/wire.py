"""HTTP ⇄ domain: bodies into messages, messages into bodies, errors into statuses."""

import json
import logging
from typing import Any, TypeVar

import grpc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from services.common.errors import BookmillError, InvalidInput
from services.common.server import MAX_MESSAGE_BYTES
from services.common.steps import to_json

M = TypeVar("M", bound=Message)

_log = logging.getLogger(__name__)

# As google/rpc/code.proto maps them.
_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
# Where HTTP has a better word for the reason.
_STATUS_OF_REASON = {
    "RUN_NOT_FINAL": 409,
    "UPLOAD_TOO_LARGE": 413,
    "BODY_TOO_LARGE": 413,
    "NOT_JSON": 415,
    "RANGE_NOT_SATISFIABLE": 416,
    "HOST_NOT_ALLOWED": 421,
    "STORE_FULL": 507,
    "DISK_FULL": 507,
}
_NAME_OF_STATUS = {404: "NOT_FOUND", 405: "UNIMPLEMENTED"}


async def message_of(request: Request, kind: type[M], required: bool = True) -> M:
    """Reads a message from a JSON body.

    Args:
        request: its content type must be JSON, which a page of another site cannot send unasked.
        kind: the message.
        required: an empty body is an error, not an empty message.

    Raises:
        InvalidInput: `NOT_JSON`, `BODY_TOO_LARGE`, `BAD_BODY`.
    """
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_MESSAGE_BYTES:
            raise InvalidInput("BODY_TOO_LARGE", f"a body has at most {MAX_MESSAGE_BYTES:,} bytes")
    if not body and not required:
        return kind()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidInput("NOT_JSON", "the body's Content-Type must be application/json")
    try:
        return ParseDict(json.loads(body), kind())
    except (ValueError, ParseError, RecursionError) as error:
        raise InvalidInput("BAD_BODY", f"the body is no {kind.__name__}: {error}"[:500], field="body") from error


def answer(message: Message, status: int = 200) -> JSONResponse:
    """Gives a message as proto JSON with the proto's names: 64-bit integers are strings, defaults are left out."""
    return JSONResponse(to_json(message), status)


def error_body(error: BookmillError) -> dict[str, Any]:
    """Gives an error as a body."""
    status = status_of(error)
    return {
        "error": {
            "code": status,
            "status": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "details": error.metadata,
        }
    }


def status_of(error: BookmillError) -> int:
    """Gives an error's HTTP status."""
    return _STATUS_OF_REASON.get(error.reason) or _STATUS.get(error.code, 500)


def handle_errors(app: FastAPI) -> None:
    """Makes every error of an app a body of one form."""

    @app.exception_handler(BookmillError)
    async def ours(_: Request, error: BookmillError) -> JSONResponse:
        status = status_of(error)
        # RFC 9110, section 15.5.17: so that a client that resumes learns that it has all of it.
        headers = {"Content-Range": f"bytes */{error.metadata['size']}"} if status == 416 else None
        return JSONResponse(error_body(error), status, headers)

    @app.exception_handler(RequestValidationError)
    async def parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        bad = InvalidInput("BAD_PARAMETER", f"{field} {first.get('input')!r}: {first['msg']}", field=field)
        return JSONResponse(error_body(bad), 400)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> JSONResponse:
        status = _NAME_OF_STATUS.get(error.status_code, "INVALID_ARGUMENT")
        reason = "NO_SUCH_PATH" if error.status_code == 404 else "BAD_REQUEST"
        message = f"{request.method} {request.url.path}: {error.detail}; /docs lists what there is"
        body = {"code": error.status_code, "status": status, "reason": reason, "message": message, "details": {}}
        return JSONResponse({"error": body}, error.status_code, headers=error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=499)

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> JSONResponse:
        message = f"a defect of Bookmill: {type(error).__name__}; the gateway's log has more"
        body = {"code": 500, "status": "INTERNAL", "reason": "DEFECT", "message": message, "details": {}}
        return JSONResponse({"error": body}, 500)
