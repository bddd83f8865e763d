"""What is in a dataset, by split and by book."""

from dataclasses import dataclass

from services.common.canonical import JSON


@dataclass(slots=True)
class BookCount:
    """What became of a book."""

    id: str
    title: str
    split: str | None = None
    """None when all of its chunks stand in other books."""
    rows: int = 0
    characters: int = 0
    duplicates: int = 0
    """Chunks of it that were left out."""


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What is in one file."""

    name: str
    file: str
    """Its name in the folder."""
    rows: int
    books: int
    characters: int


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset's figures."""

    version: int
    """Of the step that built it."""
    splits: tuple[SplitCount, ...]
    """`train`, then `test`; the latter is absent where there is one book alone."""
    books: tuple[BookCount, ...]
    """In order of their ids."""

    @property
    def duplicates(self) -> int:
        """Chunks left out because an equal one stands in the dataset."""
        return sum(book.duplicates for book in self.books)

    def report(self) -> JSON:
        """Gives the figures as JSON: which book went where."""
        return {
            "version": self.version,
            "duplicates": self.duplicates,
            "splits": [
                {"name": s.name, "file": s.file, "rows": s.rows, "books": s.books, "characters": s.characters}
                for s in self.splits
            ],
            "books": [
                {
                    "id": b.id,
                    "title": b.title,
                    "split": b.split,
                    "rows": b.rows,
                    "characters": b.characters,
                    "duplicates": b.duplicates,
                }
                for b in self.books
            ],
        }
