"""Model: the base model, brought into the store. Needs none of the books, so it begins with the run."""

from bookmill.v1 import ingest_pb2
from services.common import clients
from services.common.errors import Internal
from services.gateway.context import Context
from services.gateway.patience import patiently
from services.gateway.results import Model, State


async def model(context: Context, state: State) -> Model:  # noqa: ARG001 (it needs nothing of the others)
    """Has ingest fetch the base model.

    Raises:
        Refused: ingest declines it, and says what to do.
    """
    request = ingest_pb2.FetchModelRequest(uri=context.spec.base_model)
    context.meter.begin(f"fetching {context.spec.base_model}", 0, "bytes")

    async def attempt() -> ingest_pb2.BaseModel:
        responses = clients.stream(
            context.peers.ingest.FetchModel,
            request,
            ingest_pb2.FetchModelResponse,
            context.settings.bulk_seconds,
            context.meter.count_recorded,
        )
        fetched: ingest_pb2.BaseModel | None = None
        async for response in responses:
            if response.HasField("progress"):
                context.meter.show(response.progress)
            if response.HasField("model"):
                fetched = response.model  # and on to the end, which tells whether it came from a record
        if fetched is not None:
            return fetched
        raise Internal("NO_MODEL", "ingest ended the fetch without a model")

    return Model(await patiently(context, "ingest", attempt))
