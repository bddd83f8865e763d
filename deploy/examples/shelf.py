"""A folder of books with an index, searched as Gutendex searches its database.

The folder holds `index.json`, `{"books": [RECORD, ...]}`, where a RECORD has the fields of a book in
Gutendex's answers (id, title, authors, summaries, editors, translators, subjects, bookshelves, languages,
copyright, media_type, formats, download_count). A URL in `formats` that begins with `/` is one of the
catalogue's own. The book's files lie beside the index and are named as on a mirror of Project Gutenberg:
`900001-0.txt`, `900004-8.txt`, `900007-0.zip`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

Record = dict[str, Any]

INDEX = "index.json"
"""The name of a shelf's list of books."""

_MOST_WORDS = 32  # Gutendex looks at no more words of a search than this


@dataclass(frozen=True, slots=True)
class Shelf:
    """The books of one folder."""

    folder: Path
    records: tuple[Record, ...]
    """Ordered as Gutendex orders them: most downloaded first."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the index in `folder`. Raises FileNotFoundError for none, ValueError for a wrong one."""
        path = folder / INDEX
        try:
            books = json.loads(path.read_text(encoding="utf-8"))["books"]
            records = sorted(books, key=lambda book: (-book["download_count"], book["id"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is no index of books: {error!r}") from error
        return cls(folder, tuple(records))

    def find(self, query: Mapping[str, str]) -> list[Record]:
        """The books that `query` names by topic, search, languages, copyright, ids, mime_type and sort.

        As in Gutendex an unknown name is ignored, and so is the whole of `ids` when one of them is no number.
        """
        asked = [(_FILTERS[name], value) for name, value in query.items() if name in _FILTERS]
        found = [book for book in self.records if all(has(book, value) for has, value in asked)]
        if query.get("sort") in ("ascending", "descending"):
            found.sort(key=lambda book: int(book["id"]), reverse=query["sort"] == "descending")
        return found

    def book(self, number: int) -> Record | None:
        """The record of the book with this id."""
        return next((book for book in self.records if book["id"] == number), None)

    def file(self, number: int, name: str) -> Path | None:
        """The file `name` of book `number`, where the shelf has it."""
        path = self.folder / name
        # The name is compared with whole names of the folder, so that no path can lead out of it.
        return path if path in self._files(number) else None

    def text(self, number: int) -> Path | None:
        """The plain text of a book: its UTF-8 file before its Latin-1 one before a plain one."""
        names = (f"{number}-0.txt", f"{number}-8.txt", f"{number}.txt")
        return next((path for name in names if (path := self.file(number, name))), None)

    def _files(self, number: int) -> list[Path]:
        of_book = re.compile(rf"{number}([-.].*)?")  # "900001-0.txt" is book 900001's; "9000010.txt" is not
        return sorted(path for path in self.folder.iterdir() if path.is_file() and of_book.fullmatch(path.name))


def mirror_folder(number: int) -> str:
    """Where a mirror keeps a book: its id's digits but the last, then the id ("1/2/123"; book 7: "0/7")."""
    digits = str(number)
    return "/".join([*(digits[:-1] or "0"), digits])


def _has_topic(book: Record, value: str) -> bool:
    return any(value.lower() in name.lower() for name in (*book["bookshelves"], *book["subjects"]))


def _has_words(book: Record, value: str) -> bool:
    names = [book["title"].lower(), *(author["name"].lower() for author in book["authors"])]
    return all(any(word in name for name in names) for word in value.lower().split()[:_MOST_WORDS])


def _has_language(book: Record, value: str) -> bool:
    return bool(set(value.lower().split(",")) & set(book["languages"]))


def _has_copyright(book: Record, value: str) -> bool:
    return {True: "true", False: "false", None: "null"}[book["copyright"]] in value.split(",")


def _has_id(book: Record, value: str) -> bool:
    try:
        return book["id"] in {int(part) for part in value.split(",")}
    except ValueError:
        return True


def _has_mime_type(book: Record, value: str) -> bool:
    return any(name.startswith(value) for name in book["formats"])


_FILTERS: dict[str, Callable[[Record, str], bool]] = {
    "topic": _has_topic,
    "search": _has_words,
    "languages": _has_language,
    "copyright": _has_copyright,
    "ids": _has_id,
    "mime_type": _has_mime_type,
}
