"""The step record: a step is a function, and what it gave once is never computed again.

A request is reduced to a canonical form and hashed with the step's name and version; the result stands
under `results/<step>/<hash>.json`, written after every object that it refers to. Resuming, retrying,
deduplicating and sharing work between runs are all this (the action cache of the Remote Execution API,
`build.bazel.remote.execution.v2.ActionCache`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from bookmill.v1 import object_pb2
from services.common.canonical import digest
from services.common.errors import Corrupt
from services.common.storage import Store

Response = TypeVar("Response", bound=Message)

# Fields that name or steer a call and never change what is computed.
_STEERING = ("request_id", "validate_only", "retry", "dry_run")

answered: ContextVar[bool] = ContextVar("answered", default=False)
"""Whether the call in progress was answered from a record; the server tells the client."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step's identity."""

    name: str
    """For example `clean_book`."""
    version: int
    """Raised whenever equal requests would give other bytes than before."""

    def key(self, request: Message) -> str:
        """Gives the hash of a request, in hexadecimal.

        Args:
            request: its steering fields (`request_id`, `validate_only`, `retry`, `dry_run`) do not count.
        """
        return digest({"step": self.name, "version": self.version, "request": _canonical(request)})

    def record_key(self, hashed: str) -> str:
        """Gives the key of the record of a request's hash."""
        return f"results/{self.name}/{hashed}.json"


def to_json(message: Message) -> dict[str, Any]:
    """Gives a message as JSON with the names of the proto."""
    return MessageToDict(message, preserving_proto_field_name=True)


def recorded(store: Store, step: Step, hashed: str, response_type: type[Response]) -> Response | None:
    """Looks a result up.

    Args:
        store: where records are.
        step: the step.
        hashed: `step.key(request)`.
        response_type: the result's message.

    Returns:
        The result; None when there is none, or when an object that it refers to is gone, so that it is
        computed anew.

    Raises:
        Corrupt: `CORRUPT_RECORD`.
    """
    value = store.get_record(step.record_key(hashed))
    if value is None:
        return None
    try:
        response = ParseDict(value["response"], response_type())
    except (ParseError, KeyError, TypeError) as error:
        key = step.record_key(hashed)
        raise Corrupt(
            "CORRUPT_RECORD", f"the record {key} is none of this step; delete it to have it made anew"
        ) from error
    if any(store.stat(r.key) != r.size_bytes for r in references(response)):
        return None
    return response


def record(store: Store, step: Step, hashed: str, request: Message, response: Message) -> None:
    """Writes a result down. Last: every object that it refers to is in the store."""
    store.put_record(
        step.record_key(hashed),
        {"step": step.name, "version": step.version, "request": _canonical(request), "response": to_json(response)},
    )


async def answer(
    store: Store,
    step: Step,
    request: Message,
    response_type: type[Response],
    compute: Callable[[], Awaitable[Response]],
) -> Response:
    """Answers a request from its record, or computes the result and records it.

    Args:
        store: where records are.
        step: the step.
        request: what is asked.
        response_type: the result's message.
        compute: gives the result; all objects that it refers to are in the store when it returns.
    """
    hashed = step.key(request)
    response = await asyncio.to_thread(recorded, store, step, hashed, response_type)
    if response is not None:
        answered.set(True)
        return response
    response = await compute()
    await asyncio.to_thread(record, store, step, hashed, request, response)
    return response


def references(message: Message) -> Iterator[object_pb2.ObjectReference]:
    """Gives every reference to an object in a message, at any depth."""
    if isinstance(message, object_pb2.ObjectReference):
        if message.key:
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else (value,):
            yield from references(item)


def _canonical(request: Message) -> dict[str, Any]:
    return {k: v for k, v in to_json(request).items() if k not in _STEERING}
