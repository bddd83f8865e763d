"""The books that something was made from, and what may be said of their rights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.common.errors import InvalidInput
from services.export.cards import markdown

CATALOGUED = "gutenberg:"
"""Books of a catalogue that marks the few that are not in the public domain in the USA; other sources say nothing."""

LIST_FILE = "books.json"
"""Where the whole list stands beside the card."""

_TABLE_BYTES = 20_000  # the card travels in a message of 64 KiB, and a page longer than that is read by nobody


@dataclass(frozen=True, slots=True)
class Book:
    """One book as a card shows it."""

    id: str
    title: str
    author: str
    source: str
    sha256: str = ""
    """Of the file that was fetched, if known."""
    language: str = ""

    @property
    def catalogued(self) -> bool:
        """Whether it is of a catalogue that knows whether it is in the public domain in the USA."""
        return self.source.startswith(CATALOGUED)


def read_books(value: Any) -> tuple[Book, ...]:
    """Reads `{"books": [{"id", "title", "author", "source", …}]}`, sorted by title.

    Raises:
        InvalidInput: `BAD_REFERENCE`: it is no such list.
    """
    try:
        books = [_book(row) for row in value["books"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput("BAD_REFERENCE", "provenance.books is no list of books", field="provenance.books") from error
    return tuple(sorted(books, key=lambda b: (b.title.casefold(), b.author.casefold(), b.id, b.source)))


def table(books: Sequence[Book]) -> str:
    """Gives the table of books, cut where it gets too long."""
    rows: list[tuple[str, ...]] = []
    size = 0
    for book in books:
        digest = markdown.code(book.sha256[:12]) if book.sha256 else ""
        row = (
            markdown.text(book.title or "(untitled)"),
            markdown.text(book.author),
            markdown.code(book.source),
            digest,
        )
        size += sum(len(cell.encode()) + 3 for cell in row)
        if size > _TABLE_BYTES:
            break
        rows.append(row)
    shown = markdown.table(("Title", "Author", "Source", "SHA-256"), rows)
    if len(rows) < len(books):
        shown += f"\n\nand {len(books) - len(rows):,} more: the whole list is in `{LIST_FILE}`."
    return shown


def rights(books: Sequence[Book], made: str) -> str:
    """Says what is known of the books' rights, and no more.

    Args:
        books: the books.
        made: what was made of them: `dataset` or `model`.
    """
    catalogued = sum(book.catalogued for book in books)
    others = len(books) - catalogued
    parts = []
    if catalogued:
        which = "Each book comes" if not others else f"{catalogued:,} of the {len(books):,} books come"
        parts.append(
            f"{which} from a public collection whose works are, but for a few that its catalogue marks, in the public "
            "domain in the USA; a search takes only those that the catalogue lists so, a book that was named one by "
            "one was not looked up. In other countries a work may still be protected: check the law where you are "
            "before you use it or pass it on."
        )
    if others:
        which = "The books were" if not catalogued else "The other books were" if others > 1 else "The other book was"
        parts.append(f"{which} supplied by whoever made this {made}; Bookmill did not check the rights in them.")
    if not books:
        parts.append("No list of books came with this publication, so nothing can be said of the rights in them.")
    parts.append(
        "The sources above are identifiers that let each text be traced. No library, archive or catalogue has made, "
        f"checked or endorsed this {made}, and headers, licences and marks of theirs were removed from the texts."
    )
    return " ".join(parts)


def all_catalogued(books: Sequence[Book]) -> bool:
    """Says whether there are books and every one is of the catalogue."""
    return bool(books) and all(book.catalogued for book in books)


def _book(row: Mapping[str, Any]) -> Book:
    authors = row.get("author") or row.get("authors") or ""
    languages = row.get("language") or row.get("languages") or ""
    source = str(row.get("source") or row.get("uri") or "")
    name = str(row.get("id") or row.get("uri") or source)
    return Book(
        id=name,
        title=str(row.get("title") or ""),
        author=authors if isinstance(authors, str) else ", ".join(map(str, authors)),
        # The number in the catalogue, not an address with its owner's mark.
        source=name if name.startswith(CATALOGUED) else source,
        sha256=str(row.get("source_sha256") or row.get("sha256") or ""),
        language=languages if isinstance(languages, str) else str(next(iter(languages), "")),
    )
