"""The parts of REST that stream: uploads, downloads, events."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from bookmill.v1 import run_pb2
from services.common.errors import InvalidInput
from services.gateway import downloading
from services.gateway.active import is_final
from services.gateway.bearer import Bearer
from services.gateway.operating import Gateway
from services.gateway.rest import links, schemas
from services.gateway.rest.events import event_id, events
from services.gateway.uploading import is_there, upload

_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown; charset=utf-8",
    "Modelfile": "text/plain; charset=utf-8",
}
_SHOWN = (".json", ".html", "Modelfile")  # in the browser, not saved at once
# Results tell what strangers' texts say; nothing in them runs as a page of ours.
_SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def files_router(gateway: Gateway, bearer: Bearer | None) -> APIRouter:
    """Makes the routes.

    Args:
        gateway: does the work.
        bearer: the token with which links are signed; None where nothing asks for one.
    """
    router = APIRouter(prefix="/v1")

    @router.put(
        "/uploads/{sha256}",
        tags=["store"],
        summary="Put a text, a list of books, or a model's archive into the store; `upload:<sha256>` then names it",
        status_code=201,
        responses={200: {"description": "It was there already"}, 413: {"description": "It is too large"}},
        openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
    )
    async def put(sha256: str, request: Request) -> Response:
        length = request.headers.get("content-length")
        if length is not None and not length.isdecimal():
            raise InvalidInput("BAD_PARAMETER", f"Content-Length {length[:40]!r} is no number", field="Content-Length")
        announced = int(length) if length is not None else None
        settings = gateway.settings
        reference, new = await upload(
            gateway.store, sha256, request.stream(), announced, settings.upload_limit, settings.scratch
        )
        body = {"uri": f"upload:{sha256}", "key": reference.key, "sha256": sha256, "size_bytes": str(reference.size)}
        return JSONResponse(body, 201 if new else 200)

    @router.head(
        "/uploads/{sha256}",
        tags=["store"],
        summary="Whether an upload is there, so that it need not be sent",
        responses={404: {"description": "It is not"}},
    )
    async def there(sha256: str) -> Response:
        known = await asyncio.to_thread(is_there, gateway.store, sha256)
        return Response(status_code=200 if known else 404)

    @router.get(
        "/runs/{run}/events",
        tags=["runs"],
        summary="A run's changes as server-sent events: `run` events that each hold all of it, until it is final",
        responses={204: {"description": "It is final, and the client has seen it"}},
    )
    async def watch(run: str, last_event_id: str | None = Header(None)) -> Response:
        now = await gateway.get(run)
        if is_final(now) and event_id(now) == last_event_id:
            return Response(status_code=204)  # which tells a browser not to come back
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            events(gateway.watch(run), last_event_id), media_type="text/event-stream", headers=headers
        )

    @router.get(
        "/runs/{run}/files",
        tags=["results"],
        summary="The files of a run's results",
        responses=schemas.response(run_pb2.Run, "The run's name and its files"),
    )
    async def files(run: str) -> dict[str, Any]:
        found = await gateway.get(run)
        listed = [{"name": f.name, "sha256": f.file.sha256, "size_bytes": str(f.file.size_bytes)} for f in found.files]
        return {"name": found.name, "files": listed}

    @router.get(
        "/runs/{run}/files/{name:path}",
        tags=["results"],
        summary="One file of a run's results, or with Range a part of it",
        response_class=Response,
        responses={
            206: {"description": "A part"},
            304: {"description": "Unchanged"},
            416: {"description": "No such part"},
        },
    )
    async def file(run: str, name: str, request: Request) -> Response:
        found = await gateway.get(run)
        return _file(gateway, found, name, request)

    router.add_api_route("/runs/{run}/files/{name:path}", file, methods=["HEAD"], include_in_schema=False)

    @router.post(
        "/runs/{run}/links/{name:path}",
        tags=["results"],
        summary=f"A link that opens one file without a token, for {links.LINK_SECONDS // 60} minutes",
    )
    async def link(run: str, name: str) -> dict[str, str]:
        found = await gateway.get(run)
        downloading.file_of(found, name)
        path = f"/v1/{found.name}/files/{name}"
        return {"url": quote(path) if bearer is None else links.signed(path, bearer.token(), time.time())}

    return router


def _file(gateway: Gateway, run: run_pb2.Run, name: str, request: Request) -> Response:
    reference = downloading.file_of(run, name)
    etag = f'"{reference.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _SANDBOX,
        "Content-Disposition": _disposition(name),
    }
    if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range") if request.headers.get("if-range", etag) == etag else None
    part = downloading.part_of(wanted, reference.size)
    status = 200
    headers["Content-Length"] = str(reference.size)
    if part is not None:
        status = 206
        headers["Content-Length"] = str(part.length)
        headers["Content-Range"] = f"bytes {part.first}-{part.first + part.length - 1}/{reference.size}"
    kind = next((kind for end, kind in _TYPES.items() if name.endswith(end)), "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=status, headers={**headers, "Content-Type": kind})
    content: Iterator[bytes] = downloading.blocks(gateway.store, reference, part)
    return StreamingResponse(content, status, headers, media_type=kind)


def _disposition(name: str) -> str:
    how = "inline" if name.endswith(_SHOWN) else "attachment"
    return f"{how}; filename*=UTF-8''{quote(name.rpartition('/')[2])}"
