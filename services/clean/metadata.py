"""What a book's own header says of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.clean.rules import frame


@dataclass(frozen=True, slots=True)
class Metadata:
    """Each is empty where the header says nothing."""

    title: str = ""
    author: str = ""
    language: str = ""
    """In the header's words: `English`."""
    release: str = ""
    """The date of the electronic text, in the header's words."""
    ebook: str = ""
    """The number in Project Gutenberg's catalogue."""


def read(text: str) -> Metadata:
    """Reads the header of a text that still has its frame."""
    lines = text[:_HEADER].split("\n")
    header = lines[: frame.locate(lines).first]
    if not header:
        return Metadata()
    title, author = _banner(header)
    number = _NUMBER.search("\n".join(header))
    return Metadata(
        title=_field(header, "title") or title,
        author=_field(header, "author") or author,
        language=_field(header, "language"),
        release=_NUMBER.sub("", _field(header, "release date") or _old_date(header)).strip(" ,"),
        ebook=number[1] if number else "",
    )


_HEADER = 60_000
"""Characters from the start that hold any header: the longest have 20,000."""

# [EBook #345], [eBook 345], [Etext #345].
_NUMBER = re.compile(r"\[\s*e-?(?:book|text)\s*#?\s*(\d{1,6})\s*\]", re.I)

# "The Project Gutenberg Etext of Dracula, by Bram Stoker", with "Project Gutenberg's X" and asterisks around.
_BANNER = re.compile(
    r"\W*(?:this is )?(?:the )?project gutenberg(?:'s|’s|,? e-?(?:text|book)s?(?: of|,)?)\s+(?P<title>[^*\n]{1,200}?)"
    r"(?:,?\s+by\s+(?P<author>[^*\n]{1,100}?))?[\s*]*",
    re.I,
)

# The line that old headers give the date and number on: "October, 1995  [Etext #345]".
_OLD_DATE = re.compile(r"\s*([A-Z][a-z]+,? \d{4})\s+\[")


def _field(header: Sequence[str], name: str) -> str:
    """The value of "Name: value", with the indented lines that continue it."""
    prefix = f"{name}:"
    for index, line in enumerate(header):
        if not line.lower().startswith(prefix):
            continue
        value = [line[len(prefix) :].strip()]
        for following in header[index + 1 :]:
            if not following.startswith(("  ", "\t")) or not following.strip():
                break
            value.append(following.strip())
        return " ".join(value).strip()
    return ""


def _banner(header: Sequence[str]) -> tuple[str, str]:
    for line in header:
        if match := _BANNER.fullmatch(line):
            return match["title"].strip(), (match["author"] or "").strip()
    return "", ""


def _old_date(header: Sequence[str]) -> str:
    return next((match[1] for line in header if (match := _OLD_DATE.match(line))), "")
