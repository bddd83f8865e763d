"""Hard-wrapped lines joined to paragraphs; verse, lists, headings and letters keep their lines.

Plain-text books are wrapped at 60 to 75 characters. A break is forced where the next line's first word would not have
fitted: in prose nearly every break is, in verse and lists few are. Verse as even as blank verse is told from prose by
the capital at the start of its lines.
"""

import re
from collections import Counter
from collections.abc import Sequence

from services.clean.blocks import Block, blocks_of
from services.clean.rules.rule import Outcome

_NARROWEST = 50
"""Characters. A book whose long lines are shorter than this is verse throughout; prose is never wrapped so narrowly."""

_SLACK = 6
"""Characters that a break may come early: typesetters and old editors wrapped by hand."""

_FORCED = 0.75
"""Share of a paragraph's breaks that must be forced, at the book's width or the paragraph's own, to make it prose."""

_CAPITALS = 0.8
"""Share of lines that begin with a capital letter above which a block narrower than the book is verse."""

_VERSE_WIDTH = 0.8
"""A block of capitals is verse only if its longest line is shorter than this share of the book's width."""

_GAP = re.compile(r"\S[ \t]{3,}\S")  # A gap inside a line aligns columns: a table, a list, a title page.


def rejoin(text: str) -> Outcome:
    lines = [line.rstrip() for line in text.expandtabs(8).split("\n")]
    blocks = blocks_of(lines)
    width = _width(blocks)
    divided = _split_words(lines)
    removed: list[str] = []
    paragraphs: list[str] = []
    for block in blocks:
        if is_prose(block.lines, width):
            paragraphs.append(_joined(block.lines, divided))
            removed.extend("\n" * (len(block.lines) - 1))
        else:
            paragraphs.append("\n".join(_outdented(block.lines)))
    return Outcome("\n\n".join(paragraphs) + "\n" if paragraphs else "", removed)


def is_prose(lines: Sequence[str], width: int) -> bool:
    """Whether the lines of a block, in a book wrapped at `width`, are one paragraph. One line always is."""
    if len(lines) < 2:
        return True
    if width < _NARROWEST or any(_GAP.search(line.strip()) for line in lines):
        return False
    own = max(map(len, lines))
    capitals = sum(_begins_with_capital(line) for line in lines[1:]) / (len(lines) - 1)
    if capitals >= _CAPITALS and own < _VERSE_WIDTH * width and len(lines) > 2:
        return False
    if _forced(lines, width) >= _FORCED:
        return True
    # A quotation or letter is wrapped more narrowly than the book; a stanza's second line may not begin in lower case.
    narrow = len(lines) > 2 and own >= _NARROWEST - 10 and capitals < 0.5
    return narrow and _same_indent(lines[1:]) and _forced(lines, own) >= _FORCED


def _width(blocks: Sequence[Block]) -> int:
    """The width at which a book is wrapped: all but the longest tenth of its lines inside blocks fit it."""
    lengths = Counter(len(line) for block in blocks if len(block.lines) > 2 for line in block.lines[:-1])
    total, seen = lengths.total(), 0
    for length, count in sorted(lengths.items()):
        seen += count
        if seen >= 0.9 * total:
            return length
    return 0


def _forced(lines: Sequence[str], width: int) -> float:
    forced = sum(
        len(line) + 1 + len(following.split(None, 1)[0]) > width - _SLACK
        for line, following in zip(lines, lines[1:], strict=False)
    )
    return forced / (len(lines) - 1)


def _begins_with_capital(line: str) -> bool:
    letter = next((c for c in line if c.isalpha()), "")
    return letter.isupper()


def _same_indent(lines: Sequence[str]) -> bool:
    return len({len(line) - len(line.lstrip()) for line in lines}) == 1


# The part of a word before a hyphen that ends a line, and the part that begins the next one.
_LAST_PART = re.compile(r"([^\W\d_]{1,30})-$")
_FIRST_PART = re.compile(r"([^\W\d_]{1,30})")

# A word, whole or with a hyphen inside; bounded, so that a line of letters without an end costs nothing.
_WORD = re.compile(r"[^\W\d_]{1,40}(?:-[^\W\d_]{1,40})?")


def _split_words(lines: Sequence[str]) -> frozenset[str]:
    """Words that were divided at a line's end by the printer: the text has them whole elsewhere, never hyphenated."""
    divided = [
        (last[1].casefold(), first[1].casefold())
        for line, following in zip(lines, lines[1:], strict=False)
        if line.endswith("-") and (last := _LAST_PART.search(line[-31:])) and (first := _FIRST_PART.match(following.lstrip()))
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
    return "".join(pieces)


def _closes_up(before: str, following: str) -> bool:
    """A dash between words stands without spaces, unless the book sets it with one before it."""
    if following.startswith(("--", "—")):
        return True
    return before.endswith(("--", "—")) and not before.endswith((" --", " —")) and before.strip("-—") != ""


def _outdented(lines: Sequence[str]) -> list[str]:
    """The lines without the indent that all of them share: a centred title, a stanza in a quotation."""
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return [line[indent:] for line in lines]
