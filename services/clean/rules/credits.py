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

_LONGEST = 14
"""Lines of the longest credit; a longer block that has such a word is a preface which speaks of it."""

_VERBS = (
    r"(?:produced|prepared|transcribed|scanned|digiti[sz]ed|proof-?read|proofed|typed|keyed|entered|re-?formatted|converted"
    r"|compiled|created|submitted|contributed|edited|provided|donated|corrected|updated|made available|brought to you)"
)

# How a credit begins: "Produced by", "Scanned and proofed by", "This etext was prepared by", "E-text prepared by",
# "HTML version by", "Etext by", "Credit(s):".
_BEGINS = re.compile(
    rf"\W*(?:(?:this|the|an?)\s+)?(?:(?:e-?text|e-?book|electronic (?:text|edition|version)|text|book|file|edition|work|html(?: version)?)\s+)?"
    rf"(?:(?:was|is|has been|were)\s+)?(?:originally |first |kindly )?{_VERBS}(?:(?:,| and|,? &)\s+{_VERBS})*\s*"
    rf"(?:\([^()]{{1,60}}\)\s*)?(?:by|from|for|form)\b"
    r"|\W*(?:e-?text|e-?book|html version|proofreading|scanning) by\b|\W*credits?\W*$",
    re.I,
)

# Whom and what only a credit names: the proofreaders and their site, Project Gutenberg, "this e-text", "images
# generously made available", the usual sources of page images, the director of the 1990s.
_NAMES = re.compile(
    r"distributed\s+proof|\bpgdp\b|\bproje[ck]t\s+gutenberg|gutenberg\.(?:org|net)|\be-?texts?\b|\bebooks? (?:was|is|were)\b|html version"
    r"|images?\s+(?:generously|were|of\s+the\s+original\s+pages)|generously\s+made\s+available|internet\s+archive"
    r"|archive\.org|hathitrust|google\s+(?:books|print)|gallica|bibliothèque nationale|michael\s+s\.\s+hart"
    r"|^\W*scanned\b|\bproof-?read(?:ing|ers?)?\b|\btranscribers?\b|\btranscribed (?:by|from)\b|\bOCR\b|free(?:ly)? literature",
    re.I | re.M,
)

# A block that has an address of mail or web, in a short block: who sent it in.
_ADDRESS = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{2,40}|\bhttps?://|\bwww[./]", re.I)

# The signature under a preface of Project Gutenberg's own, which goes with everything before it.
_DIRECTOR = re.compile(r"^\s*(?:project gutenberg|executive director)\s*$", re.I | re.M)


def remove(text: str) -> Outcome:
    lines = text.split("\n")
    blocks = blocks_of(lines)
    head, tail = blocks[:_ENDS], blocks[max(_ENDS, len(blocks) - _ENDS) :]
    spans = [(block.first, block.end) for block in (*head, *tail) if _is_credit(block)]
    return without_lines(lines, [*spans, *_signed_preface(head)])


def _is_credit(block: Block) -> bool:
    if len(block.lines) > _LONGEST:
        return False
    if _BEGINS.match(block.text) or _NAMES.search(block.text):
        return True
    return len(block.lines) <= 3 and bool(_ADDRESS.search(block.text))


def _signed_preface(head: Sequence[Block]) -> list[tuple[int, int]]:
    signed = [block for block in head if _DIRECTOR.search(block.text)]
    return [(0, signed[-1].end)] if signed else []
