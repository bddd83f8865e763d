"""The paragraphs of a clean text, and which of them end a sentence."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph with the white space after it."""

    end: int
    """Offset of the next paragraph in the text, or of the text's end."""
    closes: bool
    """Whether a sentence ends with it: not so for a heading, a line that leads to another, a stanza that runs on."""


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Gives the paragraphs of a text that has more than white space in it, in order."""
    start = len(text) - len(text.lstrip())  # white space ahead of the first paragraph is its own
    for gap in _GAP.finditer(text, start):
        if gap.end() < len(text):
            yield Paragraph(gap.end(), _closes(text, start, gap.start()))
            start = gap.end()
    yield Paragraph(len(text), _closes(text, start, len(text)))


# A line's end and, below it, a line of white space at least.
_GAP = re.compile(r"\n[^\S\n]*\n\s*")

# A mark that ends a sentence, and what may close after it: quotes, brackets, marks of italics.
_CLOSED = re.compile(r"[.?!…][\"'”’»)\]_*]*\s*\Z")

# Words without a small letter (CHAPTER IV., THE END.) or a numbered part (Chapter 4. The Gate).
_HEADING = re.compile(r"[^a-z]*|(?:Chapter|Book|Part|Letter|Canto|Act|Scene|Stave)\b.*", re.DOTALL)

_LONGEST_HEADING = 80
_TAIL = 40  # characters that hold a sentence's mark and all that may close after it


def _closes(text: str, start: int, end: int) -> bool:
    if not _CLOSED.search(text[max(start, end - _TAIL) : end]):
        return False
    return end - start > _LONGEST_HEADING or not _HEADING.fullmatch(text, start, end)
