"""Footnotes: the notes in brackets, the marks in the text, and the labels of notes that stand as paragraphs.

A note in brackets, [Footnote 3: ...], was put between two paragraphs and interrupts them, so it goes. A note that
stands as a paragraph of its own, mostly in a list at the end, is text of the book: it loses only its label.
"""

import re

from services.clean.rules.brackets import without_bracketed
from services.clean.rules.rule import Outcome, without_matches

# The opening of a note in brackets; the note may have several paragraphs and brackets of its own.
_NOTE = re.compile(
    r"\[(?:foot-?notes?|end-?notes?|fn\.?|fu(?:ß|ss)note\w*|voetnoot|nota|note de bas de page"
    r"|alaviite)\b(?=[\s\d:.,*])",
    re.I,
)

_LIMIT = 12_000
"""Characters of the longest note."""

# A mark in the text or a label at a paragraph's start: [12], [12a], [A], [iv], [*], [+], [dagger] and, from files with
# notes by page, [T1]. A year has four digits and stays; so do [a word], an inserted letter (th[e]) or start ([t]he).
_ANCHOR = re.compile(
    r"[ \t]?\[(?:\d{1,3}[a-z]?|[A-Z]\d{0,3}|(?<![a-z]\[)[a-z]|(?=[ivx])x{0,3}(?:ix|iv|v?i{0,3})|\*{1,4}"
    r"|[+†‡§¶#]{1,3})\](?!\(|[^\W_])"
)

# The label of a note without brackets: "Footnote 3:" or "Footnote 3." at a paragraph's start.
_LABEL = re.compile(r"^[ \t]*foot-?note[ \t]+[\w*]{1,4}[.:][ \t]*", re.I | re.M)


# The heading over a list of notes, alone on its line.
_HEADING = re.compile(r"^[ \t_*=]*(?:foot-?notes?|fu(?:ß|ss)noten?|voetnoten)[ \t_*=:.]*$", re.I | re.M)


def remove(text: str) -> Outcome:
    """Takes out bracketed notes, marks, labels and the headings over lists of notes."""
    removed: list[str] = []
    notes = without_bracketed(text, _NOTE, _LIMIT)
    removed += notes.removed
    text = notes.text
    for pattern in (_ANCHOR, _LABEL, _HEADING):
        outcome = without_matches(text, pattern)
        removed += outcome.removed
        text = outcome.text
    return Outcome(text, removed)
