"""Writes a run's summary and page, and lists the files that its user came for."""

import json
from typing import Any

from bookmill.v1 import object_pb2, run_pb2
from services.common.canonical import canonical_json
from services.common.objects import Reference
from services.common.storage import Store
from services.gateway.report.page import render_report
from services.gateway.report.summary import Reports, summarise
from services.gateway.results import Report, State

SUMMARY = "summary.json"
PAGE = "report.html"


def write_report(store: Store, run: run_pb2.Run, state: State, with_page: bool = True) -> Report:
    """Writes `summary.json` and `report.html` of a run that ends as `run.state` says.

    Args:
        store: where results are, and where these go.
        run: its final state, its reason, its stages.
        state: what the stages gave.
        with_page: writes the page too.

    Raises:
        NotFound: an object that a stage made is gone.
        Corrupt: one is not what its SHA-256 says.
    """
    files = _files(store, state)
    reports = Reports(
        dataset=_read(store, state.dataset.response.report if state.dataset is not None else None),
        training=_read(store, state.train.job.result.report if state.train is not None else None),
    )
    summary = summarise(run, state, reports, files)
    written = store.put_bytes("reports", canonical_json(summary), ".json")
    if with_page:
        files.append((PAGE, store.put_bytes("reports", render_report(summary).encode(), ".html")))
    return Report(written, (*files, (SUMMARY, written)))


def _files(store: Store, state: State) -> list[tuple[str, Reference]]:
    files: list[tuple[str, Reference]] = []
    if state.export is not None:
        made, wanted = state.export.job.result, set(state.export.job.spec.quantizations)
        # f16 is always made for the parity check; it is large, and a result only for those who asked for it.
        files += [
            (file.file_name, Reference.from_proto(file.file)) for file in made.files if file.quantization in wanted
        ]
        files += [("Modelfile", Reference.from_proto(made.modelfile))]
        files += _report("export.json", made.report)
    if state.dataset is not None:
        files += _folder(store, "dataset", state.dataset.response.dataset)
        files += [("dataset/books.json", state.dataset.manifest)]
    if state.train is not None:
        files += _folder(store, "adapter", state.train.job.result.adapter)
        files += _report("training.json", state.train.job.result.report)
    return files


def _report(name: str, message: object_pb2.ObjectReference) -> list[tuple[str, Reference]]:
    return [(name, Reference.from_proto(message))] if message.key else []


def _folder(store: Store, name: str, message: object_pb2.ObjectReference) -> list[tuple[str, Reference]]:
    manifest = Reference.from_proto(message)
    base = manifest.key.rpartition("/")[0]
    return [(f"{name}/{f.path}", Reference(f"{base}/{f.path}", f.sha256, f.size)) for f in store.folder(manifest)]


def _read(store: Store, message: object_pb2.ObjectReference | None) -> Any:
    if message is None or not message.key:
        return {}
    return json.loads(store.read(Reference.from_proto(message)))
