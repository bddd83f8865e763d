"""Publishing: what a dataset or a model consists of, its card, and the sending of both.

A dry run says what would be sent, from the store alone. Otherwise each file is streamed to a scratch
folder, verified, sent and removed.
"""

import asyncio
import contextvars
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from bookmill.v1 import export_pb2
from services.common.errors import Corrupt, InvalidInput, NotFound, Refused
from services.common.objects import MANIFEST, Folder, Reference
from services.common.storage import Store
from services.common.writing import no_space_is_exhausted
from services.export.cards.books import LIST_FILE, Book, read_books
from services.export.cards.dataset_card import DatasetFacts, dataset_card
from services.export.cards.model_card import GgufFile, Measured, ModelFacts, model_card
from services.export.hub import Hub, Item, Kind, check_repository
from services.export.modelfiles import parse
from services.export.ollama import Ollama, check_model
from services.export.patience import Patience
from services.export.publishing_settings import PublishingSettings
from services.export.verified import Export, find_verified

Result = TypeVar("Result")

CARD = "README.md"
MODELFILE = "Modelfile"
REPORT = "export-report.json"

_LIST_LIMIT = 64 << 20  # bytes of a list of books
_MODELFILE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be sent."""

    kind: Kind
    repository: str
    items: tuple[Item, ...]
    """The card first."""
    card: str
    message: str
    """Of the commit."""

    def response(self, address: str, commit: str = "", dry_run: bool = False) -> export_pb2.PublishResponse:
        """Says what was or would be sent."""
        files = [export_pb2.PublishedFile(path=i.path, sha256=i.sha256, size_bytes=i.size) for i in self.items]
        return export_pb2.PublishResponse(address=address, commit=commit, files=files, card=self.card, dry_run=dry_run)


class Publisher:
    """Sends datasets and models outside. Holds no token: that is read at each use."""

    def __init__(self, store: Store, settings: PublishingSettings) -> None:
        self._store = store
        self._settings = settings
        self._hub = Hub(settings)
        self._ollama = Ollama(settings)
        # Of its own: a publication may take hours and must not hold up the threads that serve calls.
        self._pool = ThreadPoolExecutor(settings.parallel, thread_name_prefix="publish")

    def close(self) -> None:
        """Lets what runs finish and takes nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def publish_dataset(self, request: export_pb2.PublishDatasetRequest) -> export_pb2.PublishResponse:
        """Sends a dataset with its card, in one commit; equal content is not committed again.

        Raises:
            InvalidInput: `BAD_REPOSITORY`, `BAD_REFERENCE`.
            NotFound: `NO_SUCH_OBJECT`.
            Corrupt: an object changed in the store.
            Unauthenticated, PermissionDenied, Unavailable: as `Hub.publish`.
        """
        check_repository(request.repository)
        plan = await asyncio.to_thread(self._plan_dataset, request)
        return await self._publish(plan, request.private, request.dry_run)

    async def publish_model(self, request: export_pb2.PublishModelRequest) -> export_pb2.PublishResponse:
        """Sends a verified model with its card, as `publish_dataset`.

        Raises:
            Refused: `NOT_VERIFIED`; otherwise as `publish_dataset`.
        """
        check_repository(request.repository)
        plan = await asyncio.to_thread(self._plan_model, request)
        with _corrupt_is_not_verified(request.export_job):
            return await self._publish(plan, request.private, request.dry_run)

    async def push_ollama_model(self, request: export_pb2.PushOllamaModelRequest) -> export_pb2.PublishResponse:
        """Creates a verified model on an Ollama server.

        Raises:
            InvalidInput: `BAD_NAME`, `BAD_QUANTISATION`.
            Refused: `NOT_VERIFIED`.
            Unavailable: `OLLAMA_UNAVAILABLE`.
        """
        model = check_model(request.model)
        export = await asyncio.to_thread(find_verified, self._store, request.export_job)
        file = _choose(export, request.quantization)
        reference = Reference.from_proto(file.file)
        sent = export_pb2.PublishedFile(path=file.file_name, sha256=reference.sha256, size_bytes=reference.size)
        response = export_pb2.PublishResponse(address=model, files=[sent], dry_run=request.dry_run)
        if request.dry_run:
            return response

        def push(patience: Patience, scratch: Path) -> None:
            recipe = parse(self._store.read(Reference.from_proto(export.result.modelfile), _MODELFILE_LIMIT).decode())
            path = scratch / "model.gguf"
            self._store.download(reference, path)
            self._ollama.create(model, file.file_name, path, reference.sha256, recipe, patience)

        with _corrupt_is_not_verified(request.export_job):
            await self._work(push)
        return response

    async def _publish(self, plan: _Plan, private: bool, dry_run: bool) -> export_pb2.PublishResponse:
        if dry_run:
            return plan.response(self._hub.address(plan.kind, plan.repository), dry_run=True)

        def send(patience: Patience, scratch: Path) -> export_pb2.PublishResponse:
            done = self._hub.publish(plan.kind, plan.repository, plan.items, scratch, patience, private, plan.message)
            return plan.response(done.address, done.commit)

        return await self._work(send)

    async def _work(self, job: Callable[[Patience, Path], Result]) -> Result:
        """Runs a publication in a thread, with a scratch folder; a caller that goes away stops it."""
        settings = self._settings
        patience = Patience(
            settings.total_seconds, settings.attempts, settings.backoff_seconds, settings.patience_seconds
        )

        def work() -> Result:
            with (
                no_space_is_exhausted(),
                tempfile.TemporaryDirectory(prefix="bookmill-publish-", dir=settings.scratch) as scratch,
            ):
                return job(patience, Path(scratch))

        context = contextvars.copy_context()  # request and run id for the logs
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, work)
        finally:
            patience.stopped.set()

    def _plan_dataset(self, request: export_pb2.PublishDatasetRequest) -> _Plan:
        manifest = Reference.from_proto(request.dataset, "dataset")
        if not manifest.key.startswith("datasets/") or not manifest.key.endswith(f"/{MANIFEST}"):
            raise InvalidInput("BAD_REFERENCE", f"dataset {manifest.key!r} is no dataset", field="dataset")
        folder = self._store.folder(manifest)
        books, listed = self._books(request.provenance)
        card = dataset_card(
            DatasetFacts(
                repository=request.repository,
                topic=request.provenance.topic,
                digest=manifest.sha256,
                files=[(f.path, f.sha256, f.size) for f in folder],
                books=books,
            )
        )
        items = self._items(card, [*listed, *_references(manifest, folder)])
        return _Plan("dataset", request.repository, items, card, f"Publish dataset {manifest.sha256[:12]}")

    def _plan_model(self, request: export_pb2.PublishModelRequest) -> _Plan:
        export = find_verified(self._store, request.export_job)
        books, listed = self._books(request.provenance)
        merged = Reference.from_proto(export.result.merged)
        card = model_card(_model_facts(request, export, books))
        files = [
            *listed,
            *((f.file_name, Reference.from_proto(f.file)) for f in export.files),
            (MODELFILE, Reference.from_proto(export.result.modelfile)),
            (REPORT, Reference.from_proto(export.result.report)),
        ]
        if request.include_merged:
            files += _references(merged, self._store.folder(merged))
        name = request.export_job.removeprefix("exportJobs/")
        return _Plan("model", request.repository, self._items(card, files), card, f"Publish model {name}")

    def _books(self, provenance: export_pb2.Provenance) -> tuple[tuple[Book, ...], list[tuple[str, Reference]]]:
        """Reads the list of books, and gives it as a file to send."""
        if not provenance.books.key:
            return (), []
        reference = Reference.from_proto(provenance.books, "provenance.books")
        try:
            value: Any = json.loads(self._store.read(reference, _LIST_LIMIT))
        except ValueError as error:
            raise InvalidInput("BAD_REFERENCE", f"provenance.books {reference.key!r} is no JSON") from error
        return read_books(value), [(LIST_FILE, reference)]

    def _items(self, card: str, files: Iterable[tuple[str, Reference]]) -> tuple[Item, ...]:
        data = card.encode()

        def write(path: Path) -> None:
            path.write_bytes(data)

        items = {CARD: Item(CARD, sha256(data).hexdigest(), len(data), write)}
        for path, reference in files:
            if self._store.stat(reference.key) != reference.size:
                raise NotFound("NO_SUCH_OBJECT", f"{reference.key} ({path}) is not in the store", key=reference.key)
            fetch = partial(self._store.download, reference)
            items.setdefault(path, Item(path, reference.sha256, reference.size, fetch))
        return tuple(items.values())


def _choose(export: Export, quantization: str) -> export_pb2.ModelFile:
    by_name = {file.quantization: file for file in export.result.files}
    chosen = by_name.get(quantization or export.spec.quantizations[0])
    if chosen is None:
        choices = ", ".join(by_name)
        raise InvalidInput(
            "BAD_QUANTISATION", f"{quantization!r} was not exported; there is {choices}", choices=choices
        )
    return chosen


def _references(manifest: Reference, folder: Folder) -> list[tuple[str, Reference]]:
    base = manifest.key.removesuffix(MANIFEST)
    return [(f.path, Reference(base + f.path, f.sha256, f.size)) for f in folder]


def _model_facts(request: export_pb2.PublishModelRequest, export: Export, books: tuple[Book, ...]) -> ModelFacts:
    return ModelFacts(
        repository=request.repository,
        topic=request.provenance.topic,
        base_model=request.provenance.base_model,
        base_licence=request.provenance.base_licence,
        context_length=export.spec.context_length,
        files=[
            GgufFile(f.file_name, f.quantization, f.file.sha256, f.file.size_bytes, f.bits_per_weight)
            for f in export.files
        ],
        measured=[Measured(a.subject, a.value, a.tokens, a.against, a.bound, a.apart) for a in export.agreements],
        samples=[(s.prompt, s.base, s.tuned) for s in export.result.samples],
        digests=export.digests(),
        books=books,
        merged=request.include_merged,
    )


@contextmanager
def _corrupt_is_not_verified(name: str) -> Iterator[None]:
    """What was verified is not what lies in the store now."""
    try:
        yield
    except Corrupt as error:
        raise Refused("NOT_VERIFIED", f"{name!r} is not published: {error.message}", **error.metadata) from error
