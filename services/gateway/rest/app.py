"""The gateway as REST, under `/v1`: the same as gRPC, and the bytes that gRPC does not carry."""

import asyncio
from typing import Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from google.protobuf.message import Message

from bookmill.v1 import run_pb2, train_pb2
from services.common import clients
from services.common.errors import BookmillError
from services.gateway.bearer import Bearer
from services.gateway.models import known_models
from services.gateway.operating import Gateway
from services.gateway.rest import schemas
from services.gateway.rest.files import files_router
from services.gateway.rest.guard import Guard
from services.gateway.rest.wire import answer, handle_errors, message_of
from services.gateway.web.pages import pages_router

_MESSAGES: tuple[type[Message], ...] = (
    run_pb2.CreateRunRequest,
    run_pb2.Run,
    run_pb2.ListRunsResponse,
    run_pb2.PruneObjectsRequest,
    run_pb2.PruneObjectsResponse,
    train_pb2.EstimateTrainingRequest,
    train_pb2.EstimateTrainingResponse,
)
_DESCRIPTION = """
Turns a topic, or books of your own, into a verified text-completion model.

Bodies are proto JSON with the names of `bookmill/v1/*.proto`, whose comments say what each field means: 64-bit integers
are strings, what has its default is left out. An error is
`{"error": {"code", "status", "reason", "message", "details"}}`; programs may depend on `reason`.

Where the gateway has a token (`BOOKMILL_GATEWAY_TOKEN_FILE`), every call but the probes brings it as
`Authorization: Bearer TOKEN`, over gRPC as the metadata `authorization`; otherwise it is answered 401, with the reason
`NO_TOKEN` or `BAD_TOKEN`.
"""
_NO_TOKEN: dict[str, Any] = {"security": []}


def create_app(gateway: Gateway, bearer: Bearer | None) -> FastAPI:
    """Makes the app.

    Args:
        gateway: does the work.
        bearer: the token that callers must bring; None where none is asked for.
    """
    app = FastAPI(title="Bookmill", version="v1", description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, allowed_hosts=gateway.settings.allowed_hosts, bearer=bearer)
    handle_errors(app)
    app.include_router(_runs(gateway))
    app.include_router(files_router(gateway, bearer))
    app.include_router(_others(gateway))
    app.include_router(pages_router())
    app.openapi = lambda: _openapi(app, bearer is not None)  # type: ignore[method-assign]
    return app


def _runs(gateway: Gateway) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.post(
        "",
        summary="Start a run, or with a request_id find the one that it started",
        openapi_extra=schemas.body(run_pb2.CreateRunRequest),
        responses=schemas.response(run_pb2.Run, "The run"),
    )
    async def create(request: Request) -> Response:
        asked = await message_of(request, run_pb2.CreateRunRequest)
        return answer(await gateway.create(asked.spec, asked.request_id, asked.validate_only))

    @router.get(
        "", summary="List runs, newest first", responses=schemas.response(run_pb2.ListRunsResponse, "A page of runs")
    )
    async def page(page_size: int = Query(0, description="1 to 100; 20 when 0"), page_token: str = "") -> Response:
        found = await gateway.list(page_size, page_token)
        return answer(run_pb2.ListRunsResponse(runs=found.runs, next_page_token=found.next_token))

    @router.get("/{run}", summary="Look at a run", responses=schemas.response(run_pb2.Run, "The run"))
    async def get(run: str) -> Response:
        return answer(await gateway.get(run))

    @router.post("/{run}:cancel", summary="Stop a run and its jobs", responses=schemas.response(run_pb2.Run, "The run"))
    async def cancel(run: str) -> Response:
        return answer(await gateway.cancel(run))

    @router.delete("/{run}", summary="Delete a run that is final")
    async def delete(run: str) -> dict[str, Any]:
        await gateway.delete(run)
        return {}

    return router


def _others(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models", tags=["models"], summary="Base models in the store, and models that runs made")
    async def models() -> dict[str, Any]:
        return dict(await known_models(gateway))

    @router.post(
        "/v1/estimates",
        tags=["models"],
        summary="What a training of a dataset and a base model in the store would take",
        openapi_extra=schemas.body(train_pb2.EstimateTrainingRequest),
        responses=schemas.response(train_pb2.EstimateTrainingResponse, "The estimate"),
    )
    async def estimate(request: Request) -> Response:
        asked = await message_of(request, train_pb2.EstimateTrainingRequest)
        kind, seconds = train_pb2.EstimateTrainingResponse, gateway.settings.call_seconds
        estimated, _ = await clients.call(gateway.peers.train.EstimateTraining, asked, kind, seconds)
        return answer(estimated)

    @router.post(
        "/v1/prune",
        tags=["store"],
        summary="Remove what no run refers to",
        openapi_extra=schemas.body(run_pb2.PruneObjectsRequest),
        responses=schemas.response(run_pb2.PruneObjectsResponse, "What was removed, or would be"),
    )
    async def prune(request: Request) -> Response:
        asked = await message_of(request, run_pb2.PruneObjectsRequest, required=False)
        pruned = await gateway.prune(asked.minimum_age_seconds, asked.dry_run)
        return answer(run_pb2.PruneObjectsResponse(objects=pruned.objects, size_bytes=pruned.size))

    @router.get("/healthz", tags=["probes"], summary="Whether the process is alive", openapi_extra=_NO_TOKEN)
    async def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        tags=["probes"],
        summary="Whether the store answers; names services that do not",
        openapi_extra=_NO_TOKEN,
    )
    async def ready() -> Response:
        # A service that is down makes no gateway useless: runs wait for it, results can be had.
        body: dict[str, Any] = {"status": "ok", "unreachable": await gateway.peers.unreachable()}
        try:
            await asyncio.to_thread(gateway.store.stat, "runs/ready")
        except BookmillError as error:
            return JSONResponse({**body, "status": "store", "message": error.message}, 503)
        return JSONResponse(body)

    return router


def _openapi(app: FastAPI, asks_for_token: bool) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(schemas.schemas(*_MESSAGES))
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        # An empty requirement makes the other optional: a gateway on loopback may ask for none.
        document["security"] = [{"token": []}] if asks_for_token else [{"token": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
