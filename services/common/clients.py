"""Channels to the services: spread over replicas, retried where that is safe, with deadlines and ids."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.common import telemetry
from services.common.errors import DOMAIN, ERRORS, BookmillError, Internal
from services.common.server import MAX_MESSAGE_BYTES, RECORDED_KEY

Request = TypeVar("Request")
Response = TypeVar("Response")

# Every method may be repeated: results are named by their requests. gRPC allows five attempts at most.
SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        # A server that drains says so before it stops: calls that reach it while it stops would be cancelled.
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)
"""What `dns:///` targets of a headless Service need; clients of other languages may copy it."""


def channel(address: str) -> grpc.aio.Channel:
    """Opens a channel.

    Args:
        address: `host:port`, or `dns:///name:port` of a headless Service.
    """
    options = (
        ("grpc.service_config", SERVICE_CONFIG),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # A restarted pod has another address; the default, 30 s, would leave calls waiting for it that long.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    )
    return grpc.aio.insecure_channel(address, options=options)


async def call(method: Any, request: Request, response_type: type[Response], timeout: float) -> tuple[Response, bool]:
    """Makes a unary call.

    Args:
        method: of a stub.
        request: its request.
        response_type: the type of its response.
        timeout: the deadline in seconds.

    Returns:
        The response, and whether it came from a record.

    Raises:
        BookmillError: of the class that the status says, with its reason.
    """
    ongoing = method(request, timeout=timeout, metadata=_metadata())
    try:
        response = await ongoing
        trailing = dict(await ongoing.trailing_metadata() or ())
    except grpc.aio.AioRpcError as error:
        raise from_status(error) from error
    assert isinstance(response, response_type)  # noqa: S101 (the stub guarantees it; this tells the type checker)
    return response, trailing.get(RECORDED_KEY) == "1"


async def stream(
    method: Any,
    request: Request,
    response_type: type[Response],
    timeout: float | None,
    on_recorded: Callable[[], None] | None = None,
) -> AsyncIterator[Response]:
    """Makes a call that streams responses.

    Args:
        method: of a stub.
        request: its request.
        response_type: the type of its responses.
        timeout: the deadline of the whole stream in seconds; None for a watch that its caller ends.
        on_recorded: called when it has ended and its responses came from a record; not when it is left before its end.

    Raises:
        BookmillError: as `call`.
    """
    ongoing = method(request, timeout=timeout, metadata=_metadata())
    try:
        async for response in ongoing:
            assert isinstance(response, response_type)  # noqa: S101 (as in `call`)
            yield response
        if on_recorded is not None and dict(await ongoing.trailing_metadata() or ()).get(RECORDED_KEY) == "1":
            on_recorded()
    except grpc.aio.AioRpcError as error:
        raise from_status(error) from error
    finally:
        ongoing.cancel()


def from_status(error: grpc.aio.AioRpcError) -> BookmillError:
    """Turns a status into the error that it was."""
    kind = next((e for e in ERRORS if e.code == error.code()), Internal)
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read: code, details, metadata
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            metadata = {k: v for k, v in info.metadata.items() if k not in {"reason", "message"}}
            return kind(info.reason, error.details() or "", **metadata)
    # A status that is not ours: gRPC's own, such as a refused connection.
    return kind(f"GRPC_{error.code().name}", error.details() or error.code().name)


def _metadata() -> tuple[tuple[str, str], ...]:
    pairs = (("x-request-id", telemetry.request_id.get()), ("x-run-id", telemetry.run_id.get()))
    return tuple((k, v) for k, v in pairs if v)
