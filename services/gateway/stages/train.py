"""Train: one job that fine-tunes the base model on the dataset."""

from bookmill.v1 import train_pb2
from services.gateway.context import Context
from services.gateway.following import follow
from services.gateway.results import State, Training


async def train(context: Context, state: State) -> Training:
    """Has the train service run its job, and follows it."""
    assert state.dataset is not None  # noqa: S101 (the stages before saw to it)
    assert state.model is not None  # noqa: S101
    spec = train_pb2.TrainingSpec(
        dataset=state.dataset.response.dataset,
        base_model=state.model.model.folder,
        hyperparameters=context.spec.hyperparameters,
    )
    context.meter.begin("starting the training")
    return Training(await follow(context, spec))
