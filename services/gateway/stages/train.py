"""Train: one job that fine-tunes the base model on the dataset."""

from bookmill.v1 import train_pb2
from services.common.errors import BookmillError
from services.gateway.context import Context
from services.gateway.following import follow
from services.gateway.patience import ask
from services.gateway.results import State, Training


async def train(context: Context, state: State) -> Training:
    """Has the train service say what its job will take, and run it, and follows it."""
    assert state.dataset is not None  # noqa: S101 (the stages before saw to it)
    assert state.model is not None  # noqa: S101
    spec = train_pb2.TrainingSpec(
        dataset=state.dataset.response.dataset,
        base_model=state.model.model.folder,
        hyperparameters=context.spec.hyperparameters,
    )
    context.meter.begin("estimating the training")
    await _estimate(context, spec)
    context.meter.begin("starting the training")
    return Training(await follow(context, spec))


async def _estimate(context: Context, spec: train_pb2.TrainingSpec) -> None:
    request, kind = train_pb2.EstimateTrainingRequest(spec=spec), train_pb2.EstimateTrainingResponse
    method, seconds = context.peers.train.EstimateTraining, context.settings.call_seconds
    try:
        told, _ = await ask(context, "train", method, request, kind, seconds)
    except BookmillError:
        return  # what is wrong with the spec, the making of the job says too
    if told.recorded:
        return
    context.meter.expect(
        {
            "tokens": told.tokens,
            "steps": told.steps,
            "memory_bytes": told.memory_bytes,
            "disk_bytes": told.disk_bytes,
            **({"seconds": told.seconds} if told.HasField("seconds") else {}),
        }
    )
