"""The summary of a run: what the table at its end shows, as JSON. Pure.

```
{"run", "state", "reason"?, "spec", "asked", "stages": [...], "books": [...], "refusals": [...], "dataset"?,
 "training"?, "perplexities", "bounds", "files", "samples", "lineage", "publications", "verified", "not_verified"}
```
Parts of stages that were not reached are absent or empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bookmill.v1 import object_pb2, run_pb2
from services.common.canonical import JSON
from services.common.objects import Reference
from services.common.steps import to_json
from services.gateway.books import BookOnItsWay
from services.gateway.report.checks import failed_checks
from services.gateway.report.lineage import lineage
from services.gateway.results import State


@dataclass(frozen=True, slots=True)
class Reports:
    """The services' own reports, which the summary quotes. Each empty where its stage was not reached."""

    dataset: Mapping[str, Any]
    training: Mapping[str, Any]


def summarise(
    run: run_pb2.Run, state: State, reports: Reports, files: Sequence[tuple[str, Reference]]
) -> dict[str, JSON]:
    """Builds the summary.

    Args:
        run: its spec, its final state, its stages so far.
        state: what they gave.
        reports: of the services.
        files: what can be downloaded, by name.
    """
    job = state.export.job if state.export is not None else None
    failed = failed_checks(run, job)
    return {
        "run": run.name,
        "state": _state(run.state),
        **({"reason": to_json(run.reason)} if run.HasField("reason") else {}),
        "spec": to_json(run.spec),
        "asked": state.search.counted.get("asked", 0) if state.search is not None else 0,
        "stages": [_stage(stage) for stage in run.stages],
        "books": [_book(book, _splits(reports.dataset)) for book in state.books()],
        "refusals": [refusal.to_json() for refusal in state.set_aside()],
        **_dataset(state),
        **_training(state, reports.training),
        "perplexities": [{"subject": p.subject, "value": p.value, "tokens": p.tokens} for p in job.result.perplexities]
        if job is not None
        else [],
        "bounds": {"merged": job.spec.bounds.merged, "f16": job.spec.bounds.f16, "quantized": job.spec.bounds.quantized}
        if job is not None
        else {},
        "files": [{"name": name, "sha256": file.sha256, "size": file.size} for name, file in files],
        "samples": [{"prompt": s.prompt, "base": s.base, "tuned": s.tuned} for s in job.result.samples]
        if job is not None
        else [],
        "lineage": lineage(state),
        "publications": _publications(state),
        "verified": not failed,
        "not_verified": failed,
    }


def _state(state: object_pb2.State.ValueType) -> str:
    return object_pb2.State.Name(state).removeprefix("STATE_")


def _stage(stage: run_pb2.Stage) -> JSON:
    return {
        "name": stage.name,
        "state": _state(stage.state),
        "seconds": stage.seconds,
        "counts": {count.name: count.value for count in stage.counts},
        "digests": dict(sorted(stage.digests.items())),
        "recorded": stage.recorded,
        "refused": stage.refused,
        **({"reason": to_json(stage.reason)} if stage.HasField("reason") else {}),
    }


def _book(book: BookOnItsWay, splits: Mapping[str, str]) -> JSON:
    fetched, cleaned, chunked = book.fetched, book.cleaned, book.chunked
    return {
        "uri": book.uri,
        "title": book.title,
        "authors": list(book.authors),
        "source_sha256": fetched.source_sha256 if fetched is not None else "",
        "source_url": fetched.source_url if fetched is not None else "",
        "raw": fetched.text.sha256 if fetched is not None else "",
        "clean": cleaned.text.sha256 if cleaned is not None else "",
        "chunks": chunked.chunk_count if chunked is not None else 0,
        "characters_in": cleaned.characters_in if cleaned is not None else 0,
        "characters_out": cleaned.characters_out if cleaned is not None else 0,
        "removed": {count.name: count.value for count in cleaned.removed} if cleaned is not None else {},
        "residue": cleaned.residue if cleaned is not None else 0.0,
        "split": splits.get(book.uri, ""),
    }


def _splits(report: Mapping[str, Any]) -> dict[str, str]:
    """Reads which book went where from the dataset's report: `{"books": [{"id", "split", …}, …]}`."""
    return {row["id"]: row.get("split") or "" for row in report.get("books", ())}


def _dataset(state: State) -> dict[str, JSON]:
    if state.dataset is None:
        return {}
    response = state.dataset.response
    splits: list[JSON] = [
        {"name": s.name, "file": s.file, "rows": s.rows, "books": s.books, "characters": s.characters}
        for s in response.splits
    ]
    return {"dataset": {"splits": splits, "duplicates": response.duplicates}}


def _training(state: State, report: Mapping[str, Any]) -> dict[str, JSON]:
    if state.train is None:
        return {}
    result = state.train.job.result
    curve: list[JSON] = [{"step": row["step"], "loss": row["loss"]} for row in report.get("loss", ())]
    return {
        "training": {
            "steps": result.steps,
            "tokens": result.tokens,
            "loss_curve": curve,
            "final_loss": result.final_loss,
            "perplexity_before": result.perplexity_before if result.HasField("perplexity_before") else None,
            "perplexity_after": result.perplexity_after if result.HasField("perplexity_after") else None,
            "evaluation_tokens": result.evaluation_tokens,
        }
    }


def _publications(state: State) -> JSON:
    if state.publish is None:
        return []
    return [
        {
            "what": what,
            "address": response.address,
            "commit": response.commit,
            "dry_run": response.dry_run,
            "files": [{"path": f.path, "sha256": f.sha256, "size": f.size_bytes} for f in response.files],
            "card": response.card,
        }
        for what, response in state.publish.sent
    ]
