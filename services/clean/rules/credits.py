"""Credits of who made the electronic text: "Produced by ...", "Transcribed from the 1894 edition by ...".

They stand at either end of the body as short blocks. A credit is told by how it begins or by the names of those who
make and host such texts. Only the ends are looked at: in the middle, "prepared by" is a sentence of the book.
"""

import re
from collections.abc import Sequence

from services.clean.blocks import Block, blocks_of
from services.clean.rules.rule import Outcome, without_lines

_ENDS = 40
"""Blocks at each end that are looked at. Title pages with dedications have up to 30."""

_NEAR = 100
"""Lines from either end within which the beginning of a block is enough: "Prepared by" heads recipes too."""

_LONGEST = 14
"""Lines of the longest credit; a longer block with such a name in it is a preface that speaks of it."""

_LONGEST_NOTICE = 40
"""Lines of the longest notice: a block that begins as a credit, or has several of the names."""

_LONGEST_HINT = 6
"""Lines of a block in which a word that books have too is enough, near an end."""

_VERBS = (
    r"(?:produced|prepared|transcribed|scanned|digiti[sz]ed|proof-?read|proofed|typed|keyed|re-?formatted|e-?texted)"
)

# What may be said of a text too, but of printed books as well: it needs "this etext" or the like before it.
_WEAK_VERBS = (
    r"(?:entered|converted|compiled|created|submitted|contributed|edited|provided|donated|corrected|updated"
    r"|made(?: available)?"
    r"|brought to you|typeset|published)"
)

_TEXT = r"(?:text file|e-?text|e-?book|electronic (?:text|edition|version)|text|book|file|edition|html(?: version)?)"

# How a credit begins: "Produced by", "Scanned and proofed by", "This etext was prepared by", "E-text prepared by",
# "HTML version by", "Etext by", "Credit(s):".
_BEGINS = re.compile(
    rf"\W*(?:(?:this|the|an?)\s+)?(?:{_TEXT}\s+)?(?:(?:was|is|has been|were)\s+)?(?:originally |first |kindly )?"
    rf"{_VERBS}(?:(?:,| and|,? &)\s+{_VERBS})*\s*(?:\([^()]{{1,60}}\)\s*)?(?:by|from|for|form)\b"
    rf"|\W*(?:this|the)\s+{_TEXT}\s+(?:(?:was|is|has been)\s+)?{_WEAK_VERBS}\b"
    rf"|\W*(?:e-?text|e-?book|html version|proofreading|scanning) by\b|\W*credits?\W*$",
    re.I,
)

# Whom and what only a credit names: the proofreaders and their site, Project Gutenberg, "this e-text", "images
# generously made available", the usual sources of page images, the director of the 1990s, a later edition's number.
_NAMES = re.compile(
    r"distributed\s+proof|\bpgdp\b|\bproje[ck]t\s+gutenberg|gutenberg\.(?:org|net)|\be-?texts?\b|html version"
    r"|\be-?books? (?:was|is|were|\W{0,2}#)|images?\s+(?:generously|of\s+the\s+original\s+pages)"
    r"|generously\s+made\s+available|internet\s+archive|archive\.org|hathitrust|google\s+(?:books|print)"
    r"|michael\s+s\.\s+hart|improved\s+edition\s+of\s+this\s+title",
    re.I,
)

# Words of credits that prefaces and tales have too.
_HINTS = re.compile(
    r"images?\s+(?:were\s+)?(?:provided|obtained|scanned|made\s+available)|\bgallica\b|biblioth[èe]que\s+nationale"
    r"|\bscanned\s+(?:and|by|from|with)\b|\bproof-?read(?:ing|ers?)?\b|\btranscribers?\b|\btranscribed\s+(?:by|from)\b|\bOCR\b"
    r"|free(?:ly)? literature",
    re.I,
)

# A block that has an address of mail or web, in a short block: who sent it in.
_ADDRESS = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{2,40}|\bhttps?://|\bwww[./]", re.I)

# A line of the header's fields, which some bodies repeat.
_FIELD = re.compile(
    r"\W*(?:title|author|translator|encoding|character set encoding|language|release date|edition|posting date"
    r"|(?:most recently |date )?(?:last )?updated)\s*:\s\S",
    re.I,
)

# The signature under a preface of Project Gutenberg's own, which goes with everything before it.
_DIRECTOR = re.compile(r"^\s*(?:project gutenberg|executive director)\s*$", re.I | re.M)


def remove(text: str) -> Outcome:
    """Takes out credits at either end."""
    lines = text.split("\n")
    blocks = blocks_of(lines)
    head, tail = blocks[:_ENDS], blocks[max(_ENDS, len(blocks) - _ENDS) :]
    near = len(lines) - _NEAR
    spans = [
        (block.first, block.end)
        for block in (*head, *tail)
        if _is_credit(block, near_end=block.first < _NEAR or block.first >= near)
    ]
    return without_lines(lines, [*spans, *_signed_preface(head)])


def _is_credit(block: Block, near_end: bool) -> bool:
    length, text = len(block.lines), block.text
    begins = near_end and _BEGINS.match(text) is not None
    names = len(_NAMES.findall(text))
    if length > _LONGEST:
        return length <= _LONGEST_NOTICE and (names > 1 or begins)
    if names or begins or all(_FIELD.match(line) for line in block.lines):
        return True
    if not near_end or length > _LONGEST_HINT:
        return False
    return _HINTS.search(text) is not None or (length <= 3 and _ADDRESS.search(text) is not None)


def _signed_preface(head: Sequence[Block]) -> list[tuple[int, int]]:
    signed = [block for block in head if _DIRECTOR.search(block.text)]
    return [(0, signed[-1].end)] if signed else []
