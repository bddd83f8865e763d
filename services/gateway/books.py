"""A book on its way through a run, and one that was set aside."""

from dataclasses import dataclass
from typing import Any, Self

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from bookmill.v1 import chunk_pb2, clean_pb2, ingest_pb2
from services.common.canonical import JSON
from services.common.steps import to_json


@dataclass(frozen=True, slots=True)
class BookOnItsWay:
    """A book with what each stage made of it."""

    book: ingest_pb2.Book
    fetched: ingest_pb2.FetchBookResponse | None = None
    cleaned: clean_pb2.CleanBookResponse | None = None
    chunked: chunk_pb2.ChunkBookResponse | None = None

    @property
    def uri(self) -> str:
        """It identifies the book within a run."""
        return self.book.uri

    @property
    def title(self) -> str:
        """The catalogue's or the user's, else what the book's own header says."""
        return self.book.title or (self.cleaned.title if self.cleaned is not None else "")

    @property
    def authors(self) -> tuple[str, ...]:
        """As `title`."""
        if self.book.authors:
            return tuple(self.book.authors)
        return (self.cleaned.author,) if self.cleaned is not None and self.cleaned.author else ()

    @property
    def source(self) -> str:
        """Where a reader finds the book. Never the address of a mirror: which one answered changes no dataset."""
        scheme, _, rest = self.uri.partition(":")
        return f"https://www.gutenberg.org/ebooks/{rest}" if scheme == "gutenberg" else self.uri

    @property
    def newest_sha256(self) -> str:
        """Digest of what the last stage made of it; empty before the first."""
        if self.chunked is not None:
            return self.chunked.chunks.sha256
        if self.cleaned is not None:
            return self.cleaned.text.sha256
        return self.fetched.text.sha256 if self.fetched is not None else ""

    def to_json(self) -> JSON:
        """Gives all of it."""
        parts = {"book": self.book, "fetched": self.fetched, "cleaned": self.cleaned, "chunked": self.chunked}
        return {name: to_json(message) for name, message in parts.items() if message is not None}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""

        def part(name: str, message: Message) -> Any:
            return ParseDict(value[name], message) if name in value else None

        return cls(
            ParseDict(value["book"], ingest_pb2.Book()),
            part("fetched", ingest_pb2.FetchBookResponse()),
            part("cleaned", clean_pb2.CleanBookResponse()),
            part("chunked", chunk_pb2.ChunkBookResponse()),
        )


@dataclass(frozen=True, slots=True)
class SetAside:
    """A book that a stage refused, and why."""

    book: str
    """Its URI."""
    title: str
    stage: str
    reason: str
    """The service's, UPPER_SNAKE."""
    message: str

    def to_json(self) -> JSON:
        """Gives all of it."""
        return {
            "book": self.book,
            "title": self.title,
            "stage": self.stage,
            "reason": self.reason,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` gave."""
        return cls(value["book"], value["title"], value["stage"], value["reason"], value["message"])
