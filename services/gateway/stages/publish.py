"""Publish: what the run was asked to send to a Hub and to an Ollama server, once it is verified."""

from typing import Any

from bookmill.v1 import export_pb2
from services.gateway.context import Context
from services.gateway.patience import ask
from services.gateway.results import Publications, State


async def publish(context: Context, state: State) -> Publications:
    """Has the export service send what was asked for, or say what it would send.

    Raises:
        BookmillError: a publication failed; what was made stays, and the same spec goes on here.
    """
    wanted = _wanted(context, state)
    context.meter.begin("publishing", len(wanted), "publications")
    sent = []
    for what, method, request in wanted:
        context.meter.say(f"publishing the {what}")
        response, _ = await ask(
            context, "export", method, request, export_pb2.PublishResponse, context.settings.bulk_seconds
        )
        context.meter.advance()
        sent.append((what, response))
    return Publications(tuple(sent))


def _wanted(context: Context, state: State) -> list[tuple[str, Any, Any]]:
    assert state.dataset is not None  # noqa: S101 (the stages before saw to it)
    assert state.model is not None  # noqa: S101
    assert state.export is not None  # noqa: S101
    asked, export = context.spec.publish, context.peers.export
    provenance = export_pb2.Provenance(
        books=state.dataset.manifest.to_proto(),
        topic=context.spec.topic,
        base_model=state.model.model.resolved_uri,
        base_licence=state.model.model.licence,
    )
    job = state.export.job.name
    wanted: list[tuple[str, Any, Any]] = []
    if asked.dataset_repository:
        dataset = export_pb2.PublishDatasetRequest(
            dataset=state.dataset.response.dataset,
            repository=asked.dataset_repository,
            private=asked.private,
            dry_run=asked.dry_run,
            provenance=provenance,
        )
        wanted.append(("dataset", export.PublishDataset, dataset))
    if asked.model_repository:
        model = export_pb2.PublishModelRequest(
            export_job=job,
            repository=asked.model_repository,
            private=asked.private,
            dry_run=asked.dry_run,
            provenance=provenance,
        )
        wanted.append(("model", export.PublishModel, model))
    if asked.ollama_model:
        ollama = export_pb2.PushOllamaModelRequest(export_job=job, model=asked.ollama_model, dry_run=asked.dry_run)
        wanted.append(("ollama", export.PushOllamaModel, ollama))
    return wanted
