"""The lineage of a run: how each result follows from the books, by digests alone."""

from services.common.canonical import JSON
from services.gateway.books import BookOnItsWay
from services.gateway.results import State


def lineage(state: State) -> JSON:
    """Gives the whole chain: book → raw → clean → chunks → dataset → adapter → merged → GGUF.

    Each entry names what it was made from, so that the chain can be walked either way.
    """
    chain: dict[str, JSON] = {"books": [_book(book) for book in state.books()]}
    if state.dataset is not None:
        made_of = {"manifest": state.dataset.manifest.sha256}
        chain["dataset"] = {"sha256": state.dataset.response.dataset.sha256, "from": made_of}
    if state.model is not None:
        model = state.model.model
        chain["base_model"] = {
            "sha256": model.folder.sha256,
            "from": {"uri": model.resolved_uri},
            "licence": model.licence,
            "parameters": model.parameters,
        }
    if state.train is not None:
        job = state.train.job
        inputs = {"dataset": job.spec.dataset.sha256, "base_model": job.spec.base_model.sha256}
        chain["adapter"] = {"sha256": job.result.adapter.sha256, "from": inputs, "job": job.name}
    if state.export is not None:
        export = state.export.job
        inputs = {"base_model": export.spec.base_model.sha256, "adapter": export.spec.adapter.sha256}
        merged = export.result.merged.sha256
        chain["merged"] = {"sha256": merged, "from": inputs, "job": export.name}
        chain["gguf"] = {
            file.quantization: {"sha256": file.file.sha256, "file": file.file_name, "from": {"merged": merged}}
            for file in export.result.files
        }
    return chain


def _book(book: BookOnItsWay) -> JSON:
    parts: dict[str, JSON] = {"uri": book.uri}
    if book.fetched is not None:
        parts |= {"source": book.fetched.source_sha256, "raw": book.fetched.text.sha256}
    if book.cleaned is not None:
        parts["clean"] = book.cleaned.text.sha256
    if book.chunked is not None:
        parts["chunks"] = book.chunked.chunks.sha256
    return parts
