"""Notes by whoever made the text, at either end or inside: what was corrected, how marks and letters are shown.

They come in three shapes: in square brackets, in a box drawn with characters, and as a heading with paragraphs below.
The last shape ends at a wide gap near the start of a book, and with the book near its end.
"""

import re
from collections.abc import Sequence

from services.clean.blocks import Block, blocks_of
from services.clean.rules.brackets import without_bracketed
from services.clean.rules.rule import Outcome, without_lines

# What a note begins with: Transcriber's Note(s), with any apostrophe or its mojibake, Transcription notes, Notes by the
# e-text editor, Redactor's, Scanner's or Proofreader's note, and the word for them in other languages.
_HEAD_WORDS = (
    r"(?:notes? (?:by|from|of) the )?(?:e-?text )?(?:transcri(?:b|pt)\w*|redactor|scanner|proof-?reader|digiti[sz]er"
    r"|e-?text editor"
    r"|e-?text preparer)(?:['’`]?s['’`]?|\S{0,12})?\s+(?:end-?|foot-?|general )?(?:notes?|comments?|remarks"
    r"|amendments|corrections|changes|list)\b"
    r"|transcription notes?\b|tn:|transcriber:|notes? (?:by|from|of|on) the (?:e-?text )?(?:transcri\w+|e-?text)\b"
    r"|(?:a )?notes? (?:from the digiti[sz]er|(?:about|to) th(?:is|e) e-?text)|preparer['’]s notes?"
    r"|comments on the preparation"
    r"|information about this e-?text|typographical (?:errors|corrections)|(?:list of )?(?:corrections|errata"
    r"|changes) made (?:by the|in this)"
    r"|anmerkungen? (?:zur|des|der) (?:transkription|bearbeite\w*)|hinweise? zur transkription"
    r"|note(?:s)? (?:du|de la|sur la) transcript\w+|au lecteur|nota(?:s)? del? transcript\w+|nota do transcritor"
    r"|opmerkingen van de bewerker|huomautuksia? sähköisestä|transkriptionsnotiser"
)

# A note as a bracket or a heading opens it, with quotes, asterisks, italics or a rule of dashes before.
_HEAD = re.compile(rf"[\s\[({{_*=~#\"'“|+-]{{0,60}}(?:{_HEAD_WORDS})", re.I)

# Inside brackets a note needs no head when it says what it is about: "[This e-text includes characters that ..."
_ABOUT_TEXT = re.compile(r"[\s_*]*\[[^\[\]]{0,200}\b(?:e-?texts?\b|e-?book\b|transcriber|project gutenberg)", re.I)

# A bracket that may hold a note, anywhere in the text: by its head, or because it soon names the electronic text.
_OPENING = re.compile(rf"\[[\s_*]{{0,4}}(?:{_HEAD_WORDS}|[^\[\]]{{0,60}}\b(?:project gutenberg|e-?text)\b)", re.I)

# A line of a box: a border of +---+, ***, ===, or content between bars.
_BORDER = re.compile(r"\s*[+*#=|:-]{10,}\s*|\s*\+[-=]{5,}\+?\s*|\s*\|.*")

# What a note speaks of. A heading alone proves little: these words in the paragraphs below it do.
_SUBJECT = re.compile(
    r"typograph|correct|spelling|punctuation|hyphen|original|transcri|e-?text|e-?book|misprint|normali[sz]ed"
    r"|retained|changed"
    r"|gecorrigeerd|korrigiert|corrig|renumbered|=>|-->|\bleft as\b|underscore|italic|footnote|encoding|illustration"
    r"|diacritic"
    r"|\bp(?:age|g|\.) ?\d|\d\.png",
    re.I,
)

# The list of quotations that one series has at the ends of its books and parts, and the remark at their start.
_BOOKMARKS = re.compile(
    r"\W*(?:(?:pg|e-?text|e-?book|project gutenberg)[- ]editor['’]?s? bookmarks"
    r"|note: there is a short list of bookmarks"
    r"|\[note: there is a short list of bookmarks)",
    re.I,
)

_LIMIT = 20_000
"""Characters of the longest note in brackets; they have up to 15,000."""

_START_LINES = 250
"""Lines from the start within which a heading opens a note of the front matter."""

_START_BLOCKS = 20
"""Blocks that such a note has at most."""

_GAP = 3
"""Blank lines that end a note near the start: transcribers leave four before the title, one between paragraphs."""

_END_SHARE = 0.75
"""A heading after this share of the text may open a note that goes on to the end."""

_ABOUT = 0.25
"""Share of the paragraphs below a heading that speak of the text, from which on all of them are the note."""


def remove(text: str) -> Outcome:
    """Takes out notes in all their shapes."""
    inside = without_bracketed(text, _OPENING, _LIMIT)
    lines = inside.text.split("\n")
    blocks = blocks_of(lines)
    spans = [*_boxes(blocks), *_headed(blocks, len(lines))]
    cut = without_lines(lines, spans)
    return Outcome(cut.text, [*inside.removed, *cut.removed])


def _boxes(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """Blocks that are drawn as a box and speak in their first lines as a transcriber."""
    return [
        (block.first, block.end)
        for block in blocks
        if len(block.lines) > 1
        and all(_BORDER.fullmatch(line) for line in (block.lines[0], block.lines[-1]))
        and any(_HEAD.match(line) for line in block.lines[:6])
    ]


def _headed(blocks: Sequence[Block], line_count: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for index, block in enumerate(blocks):
        if spans and block.first < spans[-1][1]:
            continue
        if _BOOKMARKS.match(block.text):
            list_too = block.text.rstrip().endswith(":") and index + 1 < len(blocks)
            spans.append((block.first, blocks[index + 1].end if list_too else block.end))
        elif _HEAD.match(block.text) or _is_remark(block):
            spans.append((block.first, _note_end(blocks, index, line_count)))
    return spans


def _is_remark(block: Block) -> bool:
    return bool(_ABOUT_TEXT.match(block.text)) and block.text.rstrip().endswith("]")


def _note_end(blocks: Sequence[Block], index: int, line_count: int) -> int:
    block = blocks[index]
    if block.first > _END_SHARE * line_count and _speak_of_text(blocks[index + 1 :]):
        return line_count
    if block.first < _START_LINES:
        return _front_end(blocks, index)
    return block.end


def _front_end(blocks: Sequence[Block], index: int) -> int:
    """The end of the paragraphs before a wide gap, or of the last that speaks of the text where most do not."""
    end = about = blocks[index].end
    last = index
    for position in range(index + 1, min(index + _START_BLOCKS, len(blocks))):
        block = blocks[position]
        if block.first - end >= _GAP:
            return end if _speak_of_text(blocks[index + 1 : last + 1]) else about
        end, last = block.end, position
        about = end if _SUBJECT.search(block.text) else about
    return about


def _speak_of_text(blocks: Sequence[Block]) -> bool:
    """Whether the paragraphs below a heading belong to its note; none do no harm."""
    return sum(_SUBJECT.search(block.text) is not None for block in blocks) >= _ABOUT * len(blocks)
