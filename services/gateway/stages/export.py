"""Export: one job that merges, quantises and verifies."""

from bookmill.v1 import export_pb2
from services.gateway.context import Context
from services.gateway.following import follow
from services.gateway.results import Export, State


async def export(context: Context, state: State) -> Export:
    """Has the export service run its job, and follows it. It succeeds only when parity held."""
    assert state.dataset is not None  # noqa: S101 (the stages before saw to it)
    assert state.model is not None  # noqa: S101
    assert state.train is not None  # noqa: S101
    spec = export_pb2.ExportSpec(
        base_model=state.model.model.folder,
        adapter=state.train.job.result.adapter,
        dataset=state.dataset.response.dataset,
        quantizations=context.spec.quantizations,
        model_name=context.spec.model_name,
        context_length=state.train.job.spec.hyperparameters.context_length,
        parity_tokens=context.spec.parity_tokens,
        samples=context.spec.samples,
    )
    context.meter.begin("starting the export")
    return Export(await follow(context, spec))
