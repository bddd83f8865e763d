"""Cuts a text into chunks: at paragraphs first, within a paragraph at sentences, never in a sentence.

A chunk is as long as the limit allows, and not shorter than half of it where there is any place to cut in its second
half. Of such places the end of a paragraph that closes a sentence is taken before the end of a sentence in a
paragraph, and that before the end of a paragraph that closes none: a heading stays with what it heads, a stanza with
its poem. Chunks keep the white space after them, so that joined they are the text.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from services.chunk.paragraphs import paragraphs
from services.chunk.sentences import sentence_ends
from services.common.errors import Refused

VERSION = 1
"""Of the chunk step: raised when the chunks of any text change."""

DEFAULT_LIMIT = 7000
"""Characters: about 1,600 tokens of a large vocabulary, 2,050 of SmolLM2's."""

LONGEST_SENTENCE = 1_000_000
"""Characters. A text with a longer one is no prose; no book known has a sentence of 100,000."""


def chunk(text: str, limit: int = DEFAULT_LIMIT) -> list[str]:
    """Cuts a text into chunks.

    Args:
        text: a clean text: a blank line between paragraphs.
        limit: characters of a chunk at the most, the white space at its end counted. A longer sentence stays whole.

    Returns:
        Chunks that joined are `text`; each has more than white space in it.

    Raises:
        Refused: `EMPTY` for nothing but white space, `TOO_LONG` for a sentence of over LONGEST_SENTENCE characters.
    """
    if not text or text.isspace():
        raise Refused("EMPTY", f"the text of {len(text)} characters has nothing but white space: no chunk is in it")
    places = _Places(text)
    chunks: list[str] = []
    start = 0
    while start < len(text):
        end = _end(places, start, limit)
        if end - start > max(limit, LONGEST_SENTENCE):
            raise Refused(
                "TOO_LONG",
                f"a sentence of {end - start} characters starts with {text[start : start + 40]!r}: this is no prose"
                f" (the longest sentence that is taken has {LONGEST_SENTENCE} characters)",
            )
        chunks.append(text[start:end])
        places.forget(end)
        start = end
    return chunks


def _end(places: "_Places", start: int, limit: int) -> int:
    left = len(places.text) - start
    if left <= limit:
        return len(places.text)
    # The last cut is placed so that it leaves a quarter of a chunk at least and no scrap.
    window = min(limit, left - limit // 4)
    end, middle = start + window, start + window // 2
    for low, high in ((middle, end), (start, middle)):
        for last in (places.last_closed, places.last_sentence, places.last_paragraph):
            if found := last(low, high):
                return found
    return places.first_after(end)


@dataclass(slots=True)
class _Places:
    """The places where a text may be cut. Sentences are looked for in the paragraphs alone that need it."""

    text: str
    closed: list[int] = field(init=False)
    """Ends of the paragraphs that end a sentence."""
    ends: list[int] = field(init=False)
    """Ends of all paragraphs."""
    _sentences: dict[int, list[int]] = field(init=False, default_factory=dict)
    """Ends of sentences of the paragraphs last looked at, by the paragraph's number."""

    def __post_init__(self) -> None:
        found = list(paragraphs(self.text))
        self.ends = [paragraph.end for paragraph in found]
        self.closed = [paragraph.end for paragraph in found if paragraph.closes]

    def forget(self, offset: int) -> None:
        """Drops what is known of paragraphs that end at `offset` or before."""
        for number in [known for known in self._sentences if self.ends[known] <= offset]:
            del self._sentences[number]

    def last_closed(self, low: int, high: int) -> int | None:
        """The last end of a paragraph that ends a sentence, after `low` and at `high` at the most."""
        return _last(self.closed, low, high)

    def last_paragraph(self, low: int, high: int) -> int | None:
        """The last end of any paragraph in that range."""
        return _last(self.ends, low, high)

    def last_sentence(self, low: int, high: int) -> int | None:
        """The last end of a sentence within a paragraph in that range."""
        number = bisect_right(self.ends, high)
        while number >= 0:
            if number < len(self.ends) and (found := _last(self._ends_of(number), low, high)):
                return found
            if number == 0 or self.ends[number - 1] <= low:
                return None
            number -= 1
        return None

    def first_after(self, offset: int) -> int:
        """The first place to cut after `offset`: the end of the sentence that is there."""
        number = bisect_right(self.ends, offset)
        ends = self._ends_of(number)
        index = bisect_right(ends, offset)
        return ends[index] if index < len(ends) else self.ends[number]

    def _ends_of(self, number: int) -> list[int]:
        if number not in self._sentences:
            start = self.ends[number - 1] if number else 0
            self._sentences[number] = [start + end for end in sentence_ends(self.text[start : self.ends[number]])]
        return self._sentences[number]


def _last(ends: list[int], low: int, high: int) -> int | None:
    index = bisect_right(ends, high) - 1
    return ends[index] if index >= 0 and ends[index] > low else None
