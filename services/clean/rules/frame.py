"""The frame that Project Gutenberg puts around a book: header, small print, licence.

Three generations of it are in circulation. Since 2001 there are START and END markers, with or without spaces after
the asterisks, wrapped over lines when the title is long, and indented at the end since 2024. Files of the 1990s end
their header with the line `*END*THE SMALL PRINT!...` and the book with `End of the Project Gutenberg Etext of ...`.
The rest (cut by hand, or older) has no marker, and is told by the phrases that only a header or a licence has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.clean.blocks import blocks_of
from services.clean.rules.rule import Outcome, without_lines, without_matches


@dataclass(frozen=True, slots=True)
class Body:
    """Where the book stands: lines first to end (exclusive). Empty, first == end, where there is only a frame."""

    first: int
    end: int


def remove(text: str) -> Outcome:
    """Takes out the header, the licence, and frames inside."""
    lines = text.split("\n")
    body = locate(lines)
    spans = [(0, body.first), (body.end, len(lines)), *_inner(lines, body)]
    outcome = without_lines(lines, [span for span in spans if span[0] < span[1]])
    notices = without_matches(outcome.text, _WORLD_LIBRARY)
    return Outcome(notices.text, [*outcome.removed, *notices.removed])


def locate(lines: Sequence[str]) -> Body:
    """Finds the book among the lines of a file."""
    first = _first(lines)
    return Body(first, max(first, _end(lines, first)))


# *** START OF THE PROJECT GUTENBERG EBOOK X ***, ***START OF THIS..., and the German and French editions' own words.
_START = re.compile(r"\s*\*{2,}\s*START OF\b.*\bPROJE[CK]T GUTENBERG", re.I)

# *** END OF THE PROJECT GUTENBERG EBOOK X ***, in the same variants.
_END = re.compile(r"\s*\*{2,}\s*END OF\b.*\bPROJE[CK]T GUTENBERG", re.I)

# *END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*, also without its second asterisk.
_SMALL_PRINT_END = re.compile(r"\s*\*+\s*END\s*\*?\s*THE SMALL PRINT", re.I)

# "End of Project Gutenberg's X", "End of this is the Project Gutenberg Etext", `"End of Volume I of Project ...`, and
# the same in the other languages of the collection: the name follows within the line, wherever the title stands. Some
# name the etext alone.
_LAST_LINE = re.compile(
    r"\W{0,8}(?:this is )?(?:the )?"
    r"(?:(?:end|ende|fin|fine|fim|einde|slut|slutt|loppu)\b.{0,80}\bproje[ck]t\w*\s+gutenberg"
    r"|end of (?:the |this )?(?:e-?text|e-?book|electronic (?:text|edition))\b|ende diese[sr]? e-?text)",
    re.I,
)

# How a few of the 1990s close in place of that.
_TOP_OF_FILE = re.compile(
    r"\W{0,8}(?:more information about this book is at the top of this file"
    r"|this is a copyrighted project gutenberg e-?(?:text|book), details above)",
    re.I,
)

# What only the licence says; the last resort where the END marker is missing.
_LICENCE = re.compile(
    r"\W*(?:updated editions will (?:be renamed|replace the previous one)"
    r"|(?:start: )?(?:the )?full (?:project gutenberg(?:-tm|™)? )?license\s*\W*$"
    r"|section 1\.\s+general terms of use and redistributing"
    r"|creating the works from (?:print|public domain)"
    r"|the legal small print\W*$)",
    re.I,
)

# The line after the END marker: ***** This file should be named 345-8.txt or 345-8.zip *****. Headers have it too.
_FILE_NAME = re.compile(r"\W*this file should be named \S+\.(?:txt|zip)", re.I)

# The notice that World Library's texts of Shakespeare repeat between the acts, in double angle brackets.
_WORLD_LIBRARY = re.compile(r"<<\s*THIS ELECTRONIC VERSION OF[^<>]{0,1000}>>\n?")

_LAST_RESORTS = (_LAST_LINE, _LICENCE, _FILE_NAME, _TOP_OF_FILE)

# A line that names the work between asterisks: **The Project Gutenberg Etext of The Declaration of Independence**.
_BANNER = re.compile(r"\s*\*{2,}\s*(?:this is )?(?:the )?project gutenberg(?:'s)? e-?(?:text|book)\b", re.I)

# Phrases of a header: field names, the permission sentence, the invitations of the 1990s.
_HEADER = re.compile(
    r"\bproject gutenberg|\bthis e-?book is for the use of any ?one|^\s*(?:title|author|translator|editor|illustrator"
    r"|release date|posting date|last updated|language|cha[rt]acter set encoding|credits|produced by):\s"
    r"|\[e-?(?:book|text) ?#\d+\]|small print|\betexts?\b|\bcopyright laws are changing",
    re.I | re.M,
)

_WRAP = 4
"""A marker that names a long title may go on for so many lines."""

_HEADER_LINES = 600
"""The longest headers, with small print and donation appeals, have about 400 lines."""

_HEADER_GAP = 3
"""Blocks between two header blocks that are header too, such as a bare title or date."""

_LICENCE_CHARACTERS = 30_000
"""The licence has 19,000 characters, the small print 12,000. With more text after it, an end line is a volume's."""


def _inner(lines: Sequence[str], body: Body) -> list[tuple[int, int]]:
    """Frames inside: the banner that a file of several short works repeats, and END to START in a joined file."""
    spans: list[tuple[int, int]] = []
    closed: int | None = None
    for index in range(body.first, body.end):
        if _BANNER.match(lines[index]):
            spans.append((index, index + 1))
        elif _END.match(lines[index]):
            closed = index if closed is None else closed
        elif closed is not None and _START.match(lines[index]):
            spans.append((closed, _marker_end(lines, index)))
            closed = None
    return spans


def _first(lines: Sequence[str]) -> int:
    """The line after the last marker that opens a book, or after the last block of an unmarked header."""
    small_print = [i for i, line in enumerate(lines[:_HEADER_LINES]) if _SMALL_PRINT_END.match(line)]
    start = next((i for i, line in enumerate(lines) if _START.match(line)), None)
    if start is not None:
        after = _marker_end(lines, start)
        # Some files of 2000 to 2002 have both; the small print then follows the marker at once.
        return max([after, *(i + 1 for i in small_print if i > after and not _closed(lines[after:i]))])
    small_print = [i for i in small_print if not _closed(lines[:i])]
    if small_print:
        return small_print[-1] + 1
    return _unmarked_first(lines)


def _closed(lines: Sequence[str]) -> bool:
    """Whether the book has ended in these lines: then the small print after them is its last page, not its header."""
    return any(_END.match(line) or _LAST_LINE.match(line) for line in lines)


def _marker_end(lines: Sequence[str], marker: int) -> int:
    """The line after a marker, which may be wrapped: then it goes on to the line that closes with asterisks."""
    for index in range(marker, min(marker + _WRAP, len(lines))):
        line = lines[index].rstrip()
        if not line:
            break
        if line.endswith("**") and (index > marker or line.strip("* ").upper() != "START OF"):
            return index + 1
    return marker + 1


def _unmarked_first(lines: Sequence[str]) -> int:
    first, gap = 0, 0
    for block in blocks_of(lines[:_HEADER_LINES]):
        if _LICENCE.match(block.lines[0]) or _closed(block.lines):
            break
        if _HEADER.search(block.text):
            first, gap = block.end, 0
        elif (gap := gap + 1) > _HEADER_GAP:
            break
    return first


def _end(lines: Sequence[str], first: int) -> int:
    """The earliest line that closes the book for good."""
    after = _characters_after(lines)
    last_start = max((i for i, line in enumerate(lines) if _START.match(line)), default=-1)
    for index in range(first, len(lines)):
        line = lines[index]
        if index <= last_start:
            continue
        if _END.match(line):
            return index
        if after[index] <= _LICENCE_CHARACTERS and any(p.match(line) for p in _LAST_RESORTS):
            return index
    return len(lines)


def _characters_after(lines: Sequence[str]) -> list[int]:
    total = 0
    after = [0] * len(lines)
    for index in range(len(lines) - 1, -1, -1):
        total += len(lines[index])
        after[index] = total
    return after
