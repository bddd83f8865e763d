"""Marks of illustrations, [Illustration: with or without its caption], and of music and blank pages.

A caption repeats a sentence of the text or describes a picture that is not there. The pictures of older files are
`[Picture: ...]`, those of the other languages their own word.
"""

import re

from services.clean.rules.brackets import without_bracketed
from services.clean.rules.rule import Outcome

# The opening of a mark; its end is found by counting brackets, since a caption may hold some. The words are what the
# collection's editions in Dutch, German, French, Spanish, Portuguese, Italian, Finnish and Swedish use.
_MARK = re.compile(
    r"\[(?:full[- ]page |half[- ]page |larger )?(?:illustrat\w*|ill\.|picture|pictures?|image|frontispiece"
    r"|decoration|drawing|map|photo\w*"
    r"|plate|cover|colophon|music|musical notation|blank page|ornament|abbildung\w*|illustrazione|ilustraci\w*"
    r"|ilustra\w*|afbeelding"
    r"|kuva|kuvitus|figure|fig\.|headpiece|tailpiece)\b(?=[:.,;\]\s])",
    re.I,
)

# What is left of a cover's picture where the text was made from a web page: its name, in lower case, before the title.
_COVER = re.compile(r"\A(?:[^\n]*\n){0,40}?[ \t]*(cover(?:[ \t]*image)?[ \t]*)\n")

_LIMIT = 4000
"""Characters of the longest caption; a mark without its bracket must not swallow the book."""

# A caption's footnote or link mark right behind it, as in [Illustration: "The ring"][1].
_TRAILING = re.compile(r"\[\w{1,3}\]")


def remove(text: str) -> Outcome:
    """Takes out marks with their captions."""
    marks = without_bracketed(text, _MARK, _LIMIT, _TRAILING)
    cover = _COVER.match(marks.text)
    if cover is None:
        return marks
    return Outcome(marks.text[: cover.start(1)] + marks.text[cover.end(1) :], [cover[1], *marks.removed])
