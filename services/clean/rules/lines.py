"""Hard-wrapped lines joined to paragraphs; verse, lists, headings and letters keep their lines.

Plain-text books are wrapped at 60 to 75 characters. A break is forced where the next line's first word would not have
fitted: in prose nearly every break is, in verse and lists few are. Verse as even as blank verse is told from prose by
the capital at the start of its lines.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.clean.blocks import Block, blocks_of
from services.clean.rules.rule import Outcome

_NARROWEST = 50
"""Characters. A book whose long lines are shorter than this is verse throughout; prose is never wrapped so narrowly."""

_SLACK = 6
"""Characters that a break may come early: typesetters and old editors wrapped by hand."""

_FORCED = 0.75
"""Share of a paragraph's breaks that must be forced to make it prose whatever its capitals."""

_ALL = 0.9
"""Share of lines that begin with a capital in verse: a stanza may have a turned-over line."""

_BY_CHANCE = 0.03
"""Prose has that many capitals in a row, at its own rate of them, less often than this: then it is verse."""

_VERSE_BOOK = 0.5
_USUAL = 0.3
"""With more capitals at line starts than the first a book is mostly verse: its prose is taken to have the second."""

_RAGGED = 0.65
"""Files of the 1990s were broken at pauses: lines that fill this much of the width, on average, are prose where few
of them begin with a capital."""

_LOWER = 0.5
"""Lines that fill this much and go on in lower case, all of them, are prose however short."""

# A gap inside a line aligns columns: a table, a list, a title page. One line in three has one there.
_GAP = re.compile(r"\S[ \t]{3,}\S")


@dataclass(frozen=True, slots=True)
class Book:
    """How the book at hand is set, read from all of it."""

    width: int
    """Characters at which it is wrapped: all but the longest tenth of its lines inside blocks fit."""
    capitals: float
    """Share of lines inside blocks that begin with a capital letter: a fifth in English prose, more in German."""


def rejoin(text: str) -> Outcome:
    """Joins the lines of each paragraph; leaves one blank line between blocks."""
    lines = [line.rstrip() for line in text.expandtabs(8).split("\n")]
    blocks = blocks_of(lines)
    book = look_at(blocks)
    divided = _split_words(lines)
    removed: list[str] = []
    paragraphs: list[str] = []
    for block in blocks:
        if is_prose(block.lines, book) and not (len(block.lines) == 1 and _is_table(block.lines)):
            paragraphs.append(_joined(block.lines, divided))
            removed.extend("\n" * (len(block.lines) - 1))
        else:
            paragraphs.append("\n".join(_outdented(block.lines)))
    return Outcome("\n\n".join(paragraphs) + "\n" if paragraphs else "", removed)


def look_at(blocks: Sequence[Block]) -> Book:
    """Measures a book."""
    inner = [block.lines for block in blocks if len(block.lines) > 2]
    lengths = Counter(len(line) for lines in inner for line in lines[:-1])
    total, seen, width = lengths.total(), 0, 0
    for length, count in sorted(lengths.items()):
        seen += count
        if seen >= 0.9 * total:
            width = length
            break
    capitals = sum(_begins_with_capital(line) for lines in inner for line in lines[1:])
    return Book(width, capitals / total if total else 0.0)


def is_prose(lines: Sequence[str], book: Book) -> bool:
    """Whether the lines of a block are one paragraph. One line always is."""
    count = len(lines) - 1
    if count == 0:
        return True
    if book.width < _NARROWEST or _is_table(lines):
        return False
    capitals = sum(map(_begins_with_capital, lines[1:])) / count
    by_chance = book.capitals if book.capitals < _VERSE_BOOK else _USUAL
    if capitals >= _ALL and by_chance**count < _BY_CHANCE:
        return False
    if _forced(lines, book.width) >= _FORCED:
        return True
    filled = sum(map(len, lines[:-1])) / count / book.width
    if capitals == 0 and filled >= _LOWER and _same_indent(lines[1:]):
        return True
    return count > 1 and capitals < 0.7 and filled >= _RAGGED and _same_indent(lines[1:])


def _is_table(lines: Sequence[str]) -> bool:
    return 3 * sum(_GAP.search(line.strip()) is not None for line in lines) >= len(lines)


def _forced(lines: Sequence[str], width: int) -> float:
    forced = sum(
        len(line) + 1 + len(following.split(None, 1)[0]) > width - _SLACK for line, following in pairwise(lines)
    )
    return forced / (len(lines) - 1)


def _begins_with_capital(line: str) -> bool:
    letter = next((c for c in line if c.isalpha()), "")
    return letter.isupper()


def _same_indent(lines: Sequence[str]) -> bool:
    return len({len(line) - len(line.lstrip()) for line in lines}) == 1


# Two spaces after a full stop, as typists set them, and what justified lines were filled with.
_SPACES = re.compile(r"[ \t]{2,}")

# The part of a word before a hyphen that ends a line, and the part that begins the next one.
_LAST_PART = re.compile(r"([^\W\d_]{1,30})-$")
_FIRST_PART = re.compile(r"([^\W\d_]{1,30})")

# A word, whole or with a hyphen inside; bounded, so that a line of letters without an end costs nothing.
_WORD = re.compile(r"[^\W\d_]{1,40}(?:-[^\W\d_]{1,40})?")


def _split_words(lines: Sequence[str]) -> frozenset[str]:
    """Words that were divided at a line's end by the printer: the text has them whole elsewhere, never hyphenated."""
    divided = [
        (last[1].casefold(), first[1].casefold())
        for line, following in pairwise(lines)
        if line.endswith("-")
        and (last := _LAST_PART.search(line[-31:]))
        and (first := _FIRST_PART.match(following.lstrip()))
    ]
    if not divided:
        return frozenset()
    words = {match[0].casefold() for line in lines for match in _WORD.finditer(line)}
    return frozenset(f"{a}-{b}" for a, b in divided if a + b in words and f"{a}-{b}" not in words)


def _joined(lines: Sequence[str], divided: frozenset[str]) -> str:
    pieces = [lines[0].strip()]
    for line in lines[1:]:
        before, following = pieces[-1], line.strip()
        last, first = _LAST_PART.search(before[-31:]), _FIRST_PART.match(following)
        if last and first:
            # A compound keeps its hyphen: the transcribers took out most of those that the printer put.
            if f"{last[1]}-{first[1]}".casefold() in divided:
                pieces[-1] = before[:-1]
            pieces.append(following)
        elif _closes_up(before, following):
            pieces.append(following)
        else:
            pieces.append(" " + following)
    return _SPACES.sub(" ", "".join(pieces))


def _closes_up(before: str, following: str) -> bool:
    """A dash between words stands without spaces, unless the book sets it with one before it."""
    if following.startswith(("--", "—")):
        return True
    return before.endswith(("--", "—")) and not before.endswith((" --", " —")) and before.strip("-—") != ""


def _outdented(lines: Sequence[str]) -> list[str]:
    """The lines without the indent that all of them share: a centred title, a stanza in a quotation."""
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return [line[indent:] for line in lines]
