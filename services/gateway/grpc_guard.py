"""Whom gRPC answers: who brings the token. Probes bring none, so health alone is open, and reflection is not."""

# The stubs make generics of grpc's classes, which at run time are none: annotations stay unevaluated.
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from services.common.errors import Unauthenticated
from services.common.server import abort
from services.gateway.bearer import Bearer

_OPEN = "/grpc.health.v1.Health/"


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without the token, with `NO_TOKEN` or `BAD_TOKEN`.

    Args:
        bearer: the token.
    """

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Gives a method's handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        sent = dict(handler_call_details.invocation_metadata or ())
        try:
            self._bearer.check(sent.get("authorization"))
        except Unauthenticated as error:
            return _refusing(handler, error)
        return handler


def _refusing(handler: Any, refusal: Unauthenticated) -> grpc.RpcMethodHandler[Any, Any]:
    """Makes a handler of the same form, since the server has decided by it how to read the call."""

    async def unary(_: Any, __: Any) -> Any:
        raise refusal

    async def stream(_: Any, __: Any) -> AsyncIterator[Any]:
        raise refusal
        yield  # type: ignore[unreachable]  # which makes it a stream

    async def dialogue(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await abort(context, refusal)  # reflection: none of our methods is a dialogue, whose errors are translated

    codecs = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(dialogue, **codecs)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, **codecs)
    return grpc.unary_unary_rpc_method_handler(unary, **codecs)
