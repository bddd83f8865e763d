"""Calls of any method by its name, from its descriptor, as grpcurl makes them."""

import importlib
from typing import Any

import grpc
from google.protobuf import json_format, message_factory, symbol_database

MODULES = ("ingest", "clean", "chunk", "train", "export", "run")


def load_messages() -> None:
    """Makes all services known."""
    for module in MODULES:
        importlib.import_module(f"bookmill.v1.{module}_pb2")


async def call(
    channel: grpc.aio.Channel, name: str, request: dict[str, Any], timeout: float, metadata: tuple[tuple[str, str], ...]
) -> Any:
    """Calls `Service/Method`, waiting for a server that is ready, and gives the response.

    Raises:
        grpc.aio.AioRpcError: the call failed.
    """
    service, method = name.split("/")
    described = symbol_database.Default().pool.FindServiceByName(f"bookmill.v1.{service}").methods_by_name[method]
    request_type = message_factory.GetMessageClass(described.input_type)
    response_type = message_factory.GetMessageClass(described.output_type)
    stub: Any = channel.unary_unary(
        f"/bookmill.v1.{name}",
        request_serializer=request_type.SerializeToString,
        response_deserializer=response_type.FromString,
    )
    message = json_format.ParseDict(request, request_type())
    return await stub(message, timeout=timeout, wait_for_ready=True, metadata=metadata)
