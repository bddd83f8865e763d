"""The models that runs brought in and made."""

import asyncio
from typing import Any

from bookmill.v1 import object_pb2, run_pb2
from services.common.canonical import JSON
from services.common.steps import to_json
from services.gateway.operating import Gateway
from services.gateway.results import Export, Model
from services.gateway.runs import Runs


async def known_models(gateway: Gateway) -> dict[str, JSON]:
    """Lists base models in the store and finished models, from the runs' records, newest run first."""
    bases: dict[str, Any] = {}
    made: list[JSON] = []
    token = ""
    runs = Runs(gateway.store)
    while True:
        page = await gateway.list(100, token)
        for run in page.runs:
            await asyncio.to_thread(_add, runs, run, bases, made)
        token = page.next_token
        if not token:
            return {"base_models": list(bases.values()), "models": made}


def _add(runs: Runs, run: run_pb2.Run, bases: dict[str, Any], made: list[JSON]) -> None:
    run_id = run.name.removeprefix("runs/")
    finished = runs.finished(run_id, "model")
    if finished is not None and finished.result is not None:
        model = Model.from_json(runs.result(finished.result)).model
        row = bases.setdefault(model.resolved_uri, {**to_json(model), "asked_as": [], "runs": []})
        row["runs"].append(run.name)
        if run.spec.base_model not in row["asked_as"]:
            row["asked_as"].append(run.spec.base_model)
    if run.state != object_pb2.STATE_SUCCEEDED:
        return
    finished = runs.finished(run_id, "export")
    if finished is None or finished.result is None:
        return
    job = Export.from_json(runs.result(finished.result)).job
    wanted = set(job.spec.quantizations)
    made.append(
        {
            "name": run.spec.model_name,
            "run": run.name,
            "created_at": run.created_at,
            "topic": run.spec.topic,
            "base_model": run.spec.base_model,
            "files": [to_json(file) for file in job.result.files if file.quantization in wanted],
            "perplexities": [to_json(perplexity) for perplexity in job.result.perplexities],
        }
    )
