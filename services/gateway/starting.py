"""Begins a run: checks it against the store and the services, names it, writes it down."""

import asyncio
import hashlib
import re
import secrets
import time
from typing import Any

from bookmill.v1 import export_pb2, object_pb2, run_pb2, train_pb2
from services.common import clients
from services.common.errors import AlreadyExists, BookmillError, InvalidInput, NotFound
from services.common.objects import Reference
from services.common.storage import Store
from services.gateway.book_lists import read_book_list
from services.gateway.peers import Peers
from services.gateway.runs import Begun, Runs
from services.gateway.validating import checked

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_PROBE_SECONDS = 3.0


async def begin(
    spec: run_pb2.RunSpec, request_id: str, validate_only: bool, store: Store, runs: Runs, peers: Peers
) -> tuple[Begun, bool]:
    """Checks a spec and writes it down as a run.

    Args:
        spec: as it was asked for.
        request_id: makes the call safe to repeat; empty for none.
        validate_only: writes nothing.
        store: where uploads are.
        runs: where the run is written.
        peers: those that are up are asked whether the options that are theirs are right.

    Returns:
        The run, and whether it is new.

    Raises:
        InvalidInput: as `checked`, and `BAD_REQUEST_ID`, and what the services say of their options.
        NotFound: `NO_SUCH_UPLOAD`.
        AlreadyExists: `REQUEST_ID_REUSED`.
    """
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise InvalidInput(
            "BAD_REQUEST_ID",
            f"request_id {request_id[:80]!r} is not 1 to 64 letters, digits and '-'",
            field="request_id",
        )
    full = checked(spec)
    run = hashlib.sha256(f"run {request_id}".encode()).hexdigest()[:20] if request_id else secrets.token_hex(10)
    before = await asyncio.to_thread(runs.begun, run) if request_id else None
    if before is not None:
        if before.spec != full:
            raise AlreadyExists(
                "REQUEST_ID_REUSED", f"request_id {request_id!r} began runs/{run} with another spec", run=f"runs/{run}"
            )
        return before, False
    await asyncio.to_thread(_check_uploads, store, full)
    await _check_with_services(peers, full)
    begun = Begun(run, full, round(time.time(), 3))
    if not validate_only:
        await asyncio.to_thread(runs.begin, begun)
    return begun, True


def _check_uploads(store: Store, spec: run_pb2.RunSpec) -> None:
    if spec.HasField("book_list"):
        read_book_list(store, Reference.from_proto(spec.book_list, "book_list"))
    named = [(f"books[{number}].uri", book.uri) for number, book in enumerate(spec.books)]
    for field, uri in (*named, ("base_model", spec.base_model)):
        scheme, _, sha256 = uri.partition(":")
        if scheme == "upload" and store.stat(f"uploads/{sha256}") is None:
            raise NotFound(
                "NO_SUCH_UPLOAD", f"{field} {uri!r} was not uploaded: PUT it to /v1/uploads first", field=field
            )


async def _check_with_services(peers: Peers, spec: run_pb2.RunSpec) -> None:
    """Asks export and train to validate their options, of objects that do not exist yet.

    They check options before they look objects up, so that "no such object" means that the options are right. A service
    that is down is no reason to refuse a run.
    """
    nothing = "0" * 64

    def folder(area: str) -> object_pb2.ObjectReference:
        return object_pb2.ObjectReference(key=f"{area}/{nothing}/manifest.json", sha256=nothing)

    export = export_pb2.CreateExportJobRequest(
        validate_only=True,
        spec=export_pb2.ExportSpec(
            base_model=folder("models"),
            adapter=folder("adapters"),
            dataset=folder("datasets"),
            quantizations=spec.quantizations,
            model_name=spec.model_name,
            parity_tokens=spec.parity_tokens,
            samples=spec.samples,
        ),
    )
    train = train_pb2.CreateTrainingJobRequest(
        validate_only=True,
        spec=train_pb2.TrainingSpec(
            dataset=folder("datasets"), base_model=folder("models"), hyperparameters=spec.hyperparameters
        ),
    )
    await asyncio.gather(
        _probe(peers.export.CreateExportJob, export, export_pb2.ExportJob),
        _probe(peers.train.CreateTrainingJob, train, train_pb2.TrainingJob),
    )


async def _probe(method: Any, request: Any, response_type: type[Any]) -> None:
    try:
        await clients.call(method, request, response_type, _PROBE_SECONDS)
    except InvalidInput as error:
        if error.reason != "BAD_REFERENCE":
            raise
    except BookmillError:
        return
