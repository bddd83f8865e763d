"""The gRPC server that every service runs: health, reflection, deadlines, errors, logs, draining."""

# The stubs make generics of grpc's classes, which at run time are none: annotations stay unevaluated.
from __future__ import annotations

import asyncio
import logging
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import uvloop
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.common import telemetry
from services.common.errors import DOMAIN, BookmillError, DeadlineExceeded, Internal
from services.common.settings import ServerSettings
from services.common.steps import answered

MAX_MESSAGE_BYTES = 64 << 10
"""No message is larger: lists that grow with the work are objects."""
RECORDED_KEY = "x-bookmill-recorded"
"""Trailing metadata `1` of an answer that came from a record."""

_log = logging.getLogger(__name__)
_MAX_DETAIL = 2000  # characters of a message or of one detail: all headers together must stay under 8 KiB


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a service to its end on uvloop, which serves half as many calls again as asyncio's loop.

    A service that cannot start says why in one line, with the reason, and exits with 1.
    """
    try:
        uvloop.run(main)
    except BookmillError as error:
        _log.critical("cannot start", extra={"reason": error.reason, "detail": error.message})
        raise SystemExit(1) from error


async def serve(
    name: str,
    settings: ServerSettings,
    register: Callable[[grpc.aio.Server], None],
    service_names: tuple[str, ...],
    on_stop: Callable[[], Awaitable[None]] | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> None:
    """Serves until SIGTERM or SIGINT, drains, and returns.

    Args:
        name: the service's name in the logs.
        settings: where and how to serve.
        register: adds the servicers.
        service_names: full names (`bookmill.v1.CleanService`), for health and reflection.
        on_stop: called when calls have drained.
        interceptors: as of `serving`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings, register, service_names, interceptors) as port:
        _log.info("serving", extra={"service_name": name, "port": port})
        await stop.wait()
        _log.info("draining")
    if on_stop is not None:
        await on_stop()
    _log.info("stopped")


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    register: Callable[[grpc.aio.Server], None],
    service_names: tuple[str, ...],
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> AsyncIterator[int]:
    """Serves while the context is open, and drains at its end.

    Draining: health turns NOT_SERVING, clients get a moment to turn away, new calls are refused and those in
    flight finish. Each part alone loses calls.

    Args:
        settings: where and how to serve.
        register: adds the servicers.
        service_names: full names, for health and reflection.
        interceptors: more of them, around the servicers; a `BookmillError` that they let a handler raise is translated.

    Yields:
        The port.
    """
    server = grpc.aio.server(
        interceptors=(_Interceptor(settings.default_deadline_seconds), *interceptors),
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", 3_600_000),
            # Clients of long watches ping; the default of one ping in five minutes would cut them off.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half of the calls
        ),
    )
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    register(server)
    reflection.enable_server_reflection((*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port(f"{settings.host}:{settings.port}")
    await server.start()
    for name in ("", *service_names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await checks.enter_graceful_shutdown()
        await asyncio.sleep(settings.not_serving_seconds)
        await server.stop(settings.drain_seconds)


def to_status(error: BookmillError) -> status_pb2.Status:
    """Gives an error as `google.rpc.Status` with `ErrorInfo` (AIP-193)."""
    details = any_pb2.Any()
    metadata = {k: _short(v) for k, v in error.metadata.items()}
    details.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    number = error.code.value[0]
    return status_pb2.Status(code=number, message=_short(error.message), details=[details])


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: BookmillError) -> None:
    """Ends a call with an error. For calls of other packages than ours: in ours, raising it is enough."""
    status = to_status(error)
    trailing: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.SerializeToString())]
    if error.code is grpc.StatusCode.UNAVAILABLE:
        # This service answered, and has tried as often as makes sense: the channel's own retries are for servers
        # that cannot be reached, and would multiply with those of the caller (gRFC A6, server pushback).
        trailing.append(("grpc-retry-pushback-ms", "-1"))
    await context.abort(error.code, status.message, tuple(trailing))


class _Interceptor(grpc.aio.ServerInterceptor):
    """Around each call: ids, a deadline, errors as statuses, one log line."""

    def __init__(self, default_deadline: float) -> None:
        self._default_deadline = default_deadline

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.request_streaming or not method.startswith("/bookmill."):
            return handler  # type: ignore[no-any-return]
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            inner = handler.unary_stream

            async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
                async with self._call(method, request, context):
                    async for response in inner(request, context):
                        yield response

            return grpc.unary_stream_rpc_method_handler(stream, **codecs)
        unary_inner = handler.unary_unary

        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._call(method, request, context):
                return await self._within_deadline(unary_inner(request, context), context)

        return grpc.unary_unary_rpc_method_handler(unary, **codecs)

    @asynccontextmanager
    async def _call(
        self, method: str, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[None]:
        sent = dict(context.invocation_metadata() or ())
        request_id = getattr(request, "request_id", "") or _text(sent.get("x-request-id")) or uuid.uuid4().hex
        begun = time.monotonic()
        answered.set(False)
        code, reason = "OK", None
        with telemetry.identified(request_id, _text(sent.get("x-run-id"))):
            try:
                yield
                if answered.get():
                    context.set_trailing_metadata(((RECORDED_KEY, "1"),))
            except BookmillError as error:
                code, reason = error.code.name, error.reason
                await abort(context, error)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except (grpc.aio.AbortError, grpc.RpcError):
                code = "ABORTED"
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status and the log the trace)
                code, reason = "INTERNAL", "DEFECT"
                _log.exception("defect", extra={"method": method})
                message = f"a defect of Bookmill: {type(error).__name__}; the service's log has more"
                await abort(context, Internal("DEFECT", message))
            finally:
                fields = {"method": method, "code": code, "reason": reason}
                _log.info("call", extra={**fields, "seconds": round(time.monotonic() - begun, 4)})

    async def _within_deadline(self, call: Awaitable[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        # A caller's own deadline is gRPC's to keep.
        seconds = None if context.time_remaining() is not None else self._default_deadline
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call
        except TimeoutError as error:
            if not limit.expired():
                raise
            message = f"not done within {seconds} s, the default for a call that brings no deadline"
            raise DeadlineExceeded("DEFAULT_DEADLINE", message) from error


def _short(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL else f"{text[:_MAX_DETAIL]}…"


def _text(value: str | bytes | None) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value or ""
