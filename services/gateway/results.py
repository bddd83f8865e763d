"""What each stage gives: a value that goes to JSON and back, and that says its counts and digests.

A result is an object in the store (`manifests/<sha256>.json`), to which the stage's record refers.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from google.protobuf.json_format import ParseDict

from bookmill.v1 import chunk_pb2, export_pb2, ingest_pb2, train_pb2
from services.common.canonical import JSON, digest
from services.common.objects import Reference
from services.common.steps import to_json
from services.gateway.books import BookOnItsWay, SetAside


class Result(Protocol):
    """What a stage gives."""

    def to_json(self) -> JSON:
        """Gives all of it."""
        ...

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        ...

    def counts(self) -> dict[str, int]:
        """What was counted, in the order to show."""
        ...

    def digests(self) -> dict[str, str]:
        """Digests of what was made, by name. Equal runs have equal ones."""
        ...


@dataclass(frozen=True, slots=True)
class Books:
    """Books that go on, and those that were set aside. The result of search, fetch, clean and chunk."""

    books: tuple[BookOnItsWay, ...]
    """In the order in which they were named or found, which no stage changes."""
    refusals: tuple[SetAside, ...] = ()
    """Set aside by this stage."""
    counted: dict[str, int] = field(default_factory=dict)
    """What the stage counted besides."""

    def to_json(self) -> JSON:
        """Gives all of it."""
        return {
            "books": [book.to_json() for book in self.books],
            "refusals": [refusal.to_json() for refusal in self.refusals],
            "counts": self.counted,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        books = tuple(BookOnItsWay.from_json(book) for book in value["books"])
        refusals = tuple(SetAside.from_json(refusal) for refusal in value["refusals"])
        return cls(books, refusals, dict(value["counts"]))

    def counts(self) -> dict[str, int]:
        """Books, and what the stage counted."""
        return {"books": len(self.books), **self.counted}

    def digests(self) -> dict[str, str]:
        """One digest of all that the stage made, in the order of the books."""
        return {"books": digest([[book.uri, book.newest_sha256] for book in self.books])}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The result of the dataset stage."""

    response: chunk_pb2.BuildDatasetResponse
    manifest: Reference
    """The books that it was made of; cards name their sources from it."""

    def to_json(self) -> JSON:
        """Gives all of it."""
        return {"response": to_json(self.response), "manifest": self.manifest.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        response = ParseDict(value["response"], chunk_pb2.BuildDatasetResponse())
        return cls(response, Reference.from_json(value["manifest"]))

    def counts(self) -> dict[str, int]:
        """Rows of each split, and duplicates."""
        rows = {f"{split.name}_rows": split.rows for split in self.response.splits}
        return {**rows, "duplicates": self.response.duplicates}

    def digests(self) -> dict[str, str]:
        """The dataset's."""
        return {"dataset": self.response.dataset.sha256}


@dataclass(frozen=True, slots=True)
class Model:
    """The result of the model stage: the base model."""

    model: ingest_pb2.BaseModel

    def to_json(self) -> JSON:
        """Gives all of it."""
        return to_json(self.model)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        return cls(ParseDict(value, ingest_pb2.BaseModel()))

    def counts(self) -> dict[str, int]:
        """Its parameters."""
        return {"parameters": self.model.parameters}

    def digests(self) -> dict[str, str]:
        """The base model's."""
        return {"base_model": self.model.folder.sha256}


@dataclass(frozen=True, slots=True)
class Training:
    """The result of the train stage: its job, which succeeded."""

    job: train_pb2.TrainingJob

    def to_json(self) -> JSON:
        """Gives all of it."""
        return to_json(self.job)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        return cls(ParseDict(value, train_pb2.TrainingJob()))

    def counts(self) -> dict[str, int]:
        """Steps and tokens."""
        return {"steps": self.job.result.steps, "tokens": self.job.result.tokens}

    def digests(self) -> dict[str, str]:
        """The adapter's."""
        return {"adapter": self.job.result.adapter.sha256}


@dataclass(frozen=True, slots=True)
class Export:
    """The result of the export stage: its job, which succeeded, so that parity held."""

    job: export_pb2.ExportJob

    def to_json(self) -> JSON:
        """Gives all of it."""
        return to_json(self.job)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        return cls(ParseDict(value, export_pb2.ExportJob()))

    def counts(self) -> dict[str, int]:
        """Files and their bytes."""
        files = self.job.result.files
        return {"files": len(files), "bytes": sum(file.file.size_bytes for file in files)}

    def digests(self) -> dict[str, str]:
        """Those of the merged model, the Modelfile and each GGUF."""
        made = self.job.result
        named = {"merged": made.merged.sha256, "modelfile": made.modelfile.sha256}
        return named | {file.quantization: file.file.sha256 for file in made.files}


@dataclass(frozen=True, slots=True)
class Publications:
    """The result of the publish stage."""

    sent: tuple[tuple[str, export_pb2.PublishResponse], ...] = ()
    """What (`dataset`, `model`, `ollama`) and what came of it."""

    def to_json(self) -> JSON:
        """Gives all of it."""
        return [{"what": what, "response": to_json(response)} for what, response in self.sent]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        return cls(tuple((row["what"], ParseDict(row["response"], export_pb2.PublishResponse())) for row in value))

    def counts(self) -> dict[str, int]:
        """Publications, and how many of them were a dry run."""
        return {"publications": len(self.sent), "dry_runs": sum(response.dry_run for _, response in self.sent)}

    def digests(self) -> dict[str, str]:
        """None: what was sent is named by the digests of other stages."""
        return {}


@dataclass(frozen=True, slots=True)
class Report:
    """The result of the report stage."""

    summary: Reference
    files: tuple[tuple[str, Reference], ...]
    """What a user may download, by name."""

    def to_json(self) -> JSON:
        """Gives all of it."""
        files: list[JSON] = [{"name": name, "file": file.to_json()} for name, file in self.files]
        return {"summary": self.summary.to_json(), "files": files}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        files = tuple((row["name"], Reference.from_json(row["file"])) for row in value["files"])
        return cls(Reference.from_json(value["summary"]), files)

    def counts(self) -> dict[str, int]:
        """Files."""
        return {"files": len(self.files)}

    def digests(self) -> dict[str, str]:
        """None: the summary tells of times, which no two runs share."""
        return {}


@dataclass(slots=True)
class State:
    """What the stages gave so far, each under its stage's name."""

    search: Books | None = None
    fetch: Books | None = None
    clean: Books | None = None
    chunk: Books | None = None
    dataset: Dataset | None = None
    model: Model | None = None
    train: Training | None = None
    export: Export | None = None
    publish: Publications | None = None
    report: Report | None = None

    BOOK_STAGES: ClassVar[tuple[str, ...]] = ("search", "fetch", "clean", "chunk")

    def books(self) -> tuple[BookOnItsWay, ...]:
        """The books as the last of the book stages left them."""
        newest = next((r for name in reversed(self.BOOK_STAGES) if (r := getattr(self, name)) is not None), None)
        return newest.books if newest is not None else ()

    def set_aside(self) -> tuple[SetAside, ...]:
        """Every book that was set aside, in the order of the stages."""
        shelves = (getattr(self, name) for name in self.BOOK_STAGES)
        return tuple(refusal for shelf in shelves if shelf is not None for refusal in shelf.refusals)
