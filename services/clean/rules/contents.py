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
    r"[\s_*=]*(?:table of (?:the )?contents|(?:the )?contents(?: of (?:the )?\w+(?: \w+)?)?|contents? by chapters"
    r"|list of (?:the )?(?:illustrations|plates|figures|maps|chapters|tales)"
    r"|(?:the )?illustrations|table des (?:mati[èe]res|chapitres|illustrations)|inhalts?(?:verzeichnis|-verzeichnis"
    r"|übersicht)?"
    r"|inhoud(?:sopgave)?|indice|índice|indhold|innehåll|sisällys|sumario|tabla de materias)[\s_.:*=]*",
    re.I,
)

# A line under the heading that labels columns: "CHAPTER   PAGE", "PAGE".
_COLUMNS = re.compile(
    r"[\s_]*(?:(?:chap(?:ter|\.)?|no\.?|story|stave|kapitel|chapitre)s?[\s_.]*)?(?:page|pag\.|seite|blz\.?)?[\s_.]*",
    re.I,
)

# A page number at the line's end, after a gap, dots or a dash; roman for front matter; "Frontispiece" or "To face page
# 3".
_PAGED = re.compile(
    r"(?:(?:[ \t]{2,}|\.{2,}|\.[ \t.]{3,})_?(?:\d{1,4}(?:[ \t]?[-–][ \t]?\w{1,4})?|[ivxlc]{1,7}|frontispiece)"
    r"|(?:[-–—:,][ \t]*|\bpage[ \t]+|\bp\.[ \t]*)_?\d{1,4}(?:[ \t]?[-–][ \t]?\w{1,4})?"
    r"|:[ \t]+[ivxlc]{1,7}[-–][ivxlc]{1,7})"
    r"_?[.\s]*$",
    re.I,
)

# A chapter's number or kind at the line's start: "XII.", "12.", "CHAPTER I", "Letter 4", "ACT II Scene I", "STAVE ONE";
# or a part that has no number, alone on its line or before a stop.
_NUMBERED = re.compile(
    r"[\s_/]*(?:(?:chapter|chap\.|chapitre|kapitel|hoofdstuk|cap[ií]tulo|capitolo|letter|book|part|volume|vol\.|act"
    r"|scene"
    r"|canto|stave|section|appendix|story|tale|number|no\.)[\s_]+(?:the\s+)?(?:\d{1,3}|[ivxlc]{1,7}|one|two|three"
    r"|four|five|six"
    r"|seven|eight|nine|ten|eleven|twelve|thirteen|first|second|third|fourth|fifth|sixth|last|[a-e])\b"
    r"|(?:the\s+)?(?:preface|foreword|introduction|introductory note|conclusion|epilogue|prologue|index|notes|appendix"
    r"|glossary|dedication|bibliography|author's note)[\s_.:—-]*(?:$|[.:—-])"
    r"|(?-i:[IVXLC]{1,7})(?:[.):]|[ \t]{1,8}\S)|\d{1,3}(?:[.):]|[ \t]{2,}\S))",
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
    """Takes out each list with its heading."""
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
    entries = len(heading.lines) - 1
    proved = sum(_is_entry(line, counts) or _COLUMNS.fullmatch(line) is not None for line in heading.lines[1:])
    first = {_entry_words(line) for line in heading.lines[1:2]}
    seen = {_entry_words(line) for line in heading.lines[1:]}
    compact = entries >= _FEWEST
    end = heading.end
    for position in range(index + 1, min(index + _MOST_BLOCKS, len(blocks))):
        block = blocks[position]
        if block.first - end >= _WIDE_GAP and entries >= _FEWEST:
            break
        goes_on = position + 1 < len(blocks) and _looks_like_entries(blocks[position + 1], counts)
        if _HEADING.fullmatch(block.lines[0]):
            break
        if not _looks_like_entries(block, counts) and not (
            _is_narrow(block) and (goes_on or _page_follows(blocks[position + 1 : position + 4]))
        ):
            break
        words = {_entry_words(line) for line in block.lines}
        # The text itself begins with the words of the first entry; or with those of another, after a list without blank
        # lines or with prose below.
        again = words == first or (words <= seen and (compact or not goes_on))
        if entries >= _FEWEST and again and not _PAGED.search(block.lines[-1]):
            break
        first = first or words
        entries += len(block.lines)
        proved += _proved(block, counts)
        seen |= words
        compact = compact or len(block.lines) >= _FEWEST
        end = block.end
    if entries < _FEWEST or proved < _PROVED * entries:
        return None
    return heading.first, end


def _proved(block: Block, counts: dict[str, int]) -> int:
    """Lines of a block that prove to be entries: all of them where a page number ends it."""
    if _PAGED.search(block.lines[-1]) or _COLUMNS.fullmatch(block.text):
        return len(block.lines)
    return sum(_is_entry(line, counts) or _COLUMNS.fullmatch(line) is not None for line in block.lines)


def _is_narrow(block: Block) -> bool:
    """A line between the groups of a list (_IN COLOUR_), or an entry whose page number a later one has."""
    return len(block.lines) <= 4 and all(len(line.strip()) < 50 for line in block.lines)


def _page_follows(blocks: Sequence[Block]) -> bool:
    return any(_PAGED.search(block.lines[-1]) for block in blocks)


def _looks_like_entries(block: Block, counts: dict[str, int]) -> bool:
    if any(len(line) > _LONGEST_LINE for line in block.lines):
        return False
    if _COLUMNS.fullmatch(block.text) or _PAGED.search(block.lines[-1]) or _NUMBERED.match(block.lines[0]):
        return True
    return 2 * sum(_is_entry(line, counts) for line in block.lines) >= len(block.lines)


def _is_entry(line: str, counts: dict[str, int]) -> bool:
    if _PAGED.search(line) or (_NUMBERED.match(line) and len(line) < 80):
        return True
    words = _words(line)
    return bool(words) and counts.get(words, 0) > 1


def _words(line: str) -> str:
    return _NOT_WORD.sub(" ", line).strip().casefold()


def _entry_words(line: str) -> str:
    return _words(_PAGED.sub("", line))
