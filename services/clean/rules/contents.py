"""Lists of contents and of illustrations.

A list is what follows its heading as long as lines look like entries. It is taken out only when most entries prove to
be entries: by a page number, by a chapter's number, or because the same words head a part of the book further down.
"""

import re
from collections.abc import Sequence

from services.clean.blocks import Block, blocks_of
from services.clean.rules.rule import Outcome, without_lines

# The heading in the languages of the collection, alone on its line with at most a stop or italics around it.
_HEADING = re.compile(
    r"[\s_*=]*(?:table of (?:the )?contents|(?:the )?contents(?: of (?:the )?\w+(?: \w+)?)?|contents? by chapters|list of (?:the )?(?:illustrations|plates|figures|maps|chapters|tales)"
    r"|(?:the )?illustrations|table des (?:mati[èe]res|chapitres|illustrations)|inhalts?(?:verzeichnis|-verzeichnis|übersicht)?"
    r"|inhoud(?:sopgave)?|indice|índice|indhold|innehåll|sisällys|sumario|tabla de materias)[\s_.:*=]*",
    re.I,
)

# A line under the heading that labels columns: "CHAPTER   PAGE", "PAGE".
_COLUMNS = re.compile(r"[\s_]*(?:(?:chap(?:ter|\.)?|no\.?|story|stave|kapitel|chapitre)s?[\s_.]*)?(?:page|pag\.|seite|blz\.?)?[\s_.]*", re.I)

# A page number at the line's end, after a gap, dots or a dash; roman for front matter; "Frontispiece" or "To face page 3".
_PAGED = re.compile(r"(?:[ \t]{2,}|\.{2,}|[.\s]{4,}|[-–—:,][ \t]*|\bpage[ \t]+|\bp\.[ \t]*)_?(?:\d{1,4}(?:[ \t]?[-–][ \t]?\w{1,4})?|[ivxlc]{1,7}|frontispiece)_?[.\s]*$", re.I)

# A chapter's number or kind at the line's start: "XII.", "12.", "CHAPTER I", "Letter 4", "ACT II Scene I", "STAVE ONE".
_NUMBERED = re.compile(
    r"[\s_]*(?:(?:chapter|chap\.|chapitre|kapitel|hoofdstuk|cap[ií]tulo|capitolo|letter|book|part|volume|vol\.|act|scene|canto|stave|section|appendix|story"
    r"|tale|preface|introduction|conclusion|epilogue|prologue|index|notes)\b|[ivxlc]{1,7}\b[.):\s]|\d{1,3}[.):\s])",
    re.I,
)

# Everything that does not matter when an entry is compared with a heading of the text.
_NOT_WORD = re.compile(r"[\W_]+")

_LONGEST_LINE = 100
"""Characters of an entry's line."""

_MOST_BLOCKS = 400
"""Blocks of the longest list (entries may stand a blank line apart)."""

_WIDE_GAP = 3
"""Blank lines that end a list which has entries."""

_PROVED = 0.5
"""Share of the list's lines that must prove to be entries."""

_FEWEST = 2


def remove(text: str) -> Outcome:
    lines = text.split("\n")
    blocks = blocks_of(lines)
    headings = _line_counts(lines)
    spans: list[tuple[int, int]] = []
    for index, block in enumerate(blocks):
        if spans and block.first < spans[-1][1]:
            continue
        if _HEADING.fullmatch(block.lines[0]) and (span := _list(blocks, index, headings)):
            spans.append(span)
    return without_lines(lines, spans)


def _line_counts(lines: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        if len(line) <= _LONGEST_LINE and (words := _words(line)):
            counts[words] = counts.get(words, 0) + 1
    return counts


def _list(blocks: Sequence[Block], index: int, counts: dict[str, int]) -> tuple[int, int] | None:
    heading = blocks[index]
    entries: list[str] = list(heading.lines[1:])
    seen: set[str] = {_words(line) for line in entries}
    end = heading.end
    for block in blocks[index + 1 : index + _MOST_BLOCKS]:
        if block.first - end >= _WIDE_GAP and len(entries) >= _FEWEST:
            break
        if not _looks_like_entries(block, counts) or _HEADING.fullmatch(block.lines[0]):
            break
        words = {_words(line) for line in block.lines}
        # The first heading of the text itself repeats an entry, and no list has an entry twice in a row of blocks.
        if len(entries) >= _FEWEST and len(block.lines) <= 2 and words & seen and not _PAGED.search(block.lines[-1]):
            break
        entries += block.lines
        seen |= words
        end = block.end
    entries = [line for line in entries if not _COLUMNS.fullmatch(line)]
    proved = sum(_is_entry(line, counts) for line in entries)
    if len(entries) < _FEWEST or proved < _PROVED * len(entries):
        return None
    return heading.first, end


def _looks_like_entries(block: Block, counts: dict[str, int]) -> bool:
    if any(len(line) > _LONGEST_LINE for line in block.lines):
        return False
    if _COLUMNS.fullmatch(block.text):
        return True
    return any(_is_entry(line, counts) for line in block.lines)


def _is_entry(line: str, counts: dict[str, int]) -> bool:
    if _PAGED.search(line) or (_NUMBERED.match(line) and len(line) < 80):
        return True
    words = _words(line)
    return bool(words) and counts.get(words, 0) > 1


def _words(line: str) -> str:
    return _NOT_WORD.sub(" ", line).strip().casefold()
