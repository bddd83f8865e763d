"""The card of a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from services.export.cards import markdown
from services.export.cards.books import Book, all_catalogued, rights, table
from services.export.cards.front_matter import Value, front_matter, languages


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What the card of a dataset is made from."""

    repository: str
    topic: str
    digest: str
    """SHA-256 of the dataset's manifest."""
    files: Sequence[tuple[str, str, int]]
    """Path, SHA-256 and bytes of each."""
    books: Sequence[Book]


def dataset_card(facts: DatasetFacts) -> str:
    """Gives the card: README.md of the repository."""
    splits = [PurePosixPath(path) for path, _, _ in facts.files if path.endswith(".parquet")]
    name = facts.repository.split("/")[-1]
    about = f" on {markdown.text(repr(facts.topic))}" if facts.topic else ""
    files = [(markdown.code(p), f"{size:,}", markdown.code(sha)) for p, sha, size in facts.files]
    parts = [
        front_matter(_fields(facts, splits)),
        f"# {markdown.text(name)}",
        f"Clean prose of {len(facts.books):,} books{about}, cut at paragraphs and sentences into chunks for training a "
        "text-completion model. The chunks of a book, joined in order, are its clean text, but for exact duplicates.",
        "## How it was made",
        "Bookmill fetched the books, removed what is not the authors' prose (headers, licences, transcribers' notes, "
        "illustrations, page numbers), cut them, left out exact duplicates and split the rest by book: no book stands "
        "in two splits.",
        markdown.table(
            ("Column", "Meaning"),
            (
                ("`text`", "the chunk"),
                ("`book_id`, `title`, `author`, `source`", "the book it is from"),
                ("`position`", "its place in the book, from 0"),
                ("`sha256`", "of the text"),
            ),
        ),
        _use(facts.repository),
        "## Books",
        table(facts.books) if facts.books else "No list came with this publication.",
        "## Rights",
        rights(facts.books, "dataset"),
        "## Files",
        markdown.table(("File", "Bytes", "SHA-256"), files),
        f"The dataset is {markdown.code(facts.digest)}: the SHA-256 of its manifest, from which every step back to the "
        "books can be traced.",
    ]
    return "\n\n".join(parts) + "\n"


def _fields(facts: DatasetFacts, splits: Sequence[PurePosixPath]) -> dict[str, Value | None]:
    # Only a search looks at what the catalogue says of a book.
    vouched = bool(facts.topic) and all_catalogued(facts.books)
    data_files: list[Value] = [{"split": path.stem, "path": str(path)} for path in splits]
    return {
        "license": "other" if vouched else "unknown",
        "license_name": "public-domain-in-the-usa" if vouched else None,
        "language": languages([book.language or "en" for book in facts.books] or ["en"]),
        "pretty_name": facts.repository.split("/")[-1],
        "task_categories": ["text-generation"],
        "tags": ["bookmill", "books", "text-completion"],
        "configs": [{"config_name": "default", "data_files": data_files}] if data_files else None,
    }


def _use(repository: str) -> str:
    return "## How to use it\n\n" + markdown.block(
        f'from datasets import load_dataset\n\nsplits = load_dataset("{repository}")', "python"
    )
