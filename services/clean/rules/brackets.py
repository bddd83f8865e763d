"""Takes out remarks in square brackets that may nest and may span paragraphs."""

import re

from services.clean.rules.rule import Outcome

_BRACKET = re.compile(r"[\[\]]")  # Only brackets matter for pairing them.


def without_bracketed(
    text: str, opening: re.Pattern[str], limit: int, trailing: re.Pattern[str] | None = None
) -> Outcome:
    """Takes out every remark whose start matches.

    Args:
        text: the text.
        opening: matches from the bracket that opens a remark.
        limit: characters of the longest remark; with more before its bracket closes it was never closed.
        trailing: what goes with a remark when it follows at once.
    """
    kept: list[str] = []
    removed: list[str] = []
    position = 0
    pairs: dict[int, int] | None = None
    for match in opening.finditer(text):
        if match.start() < position:
            continue
        pairs = _pairs(text) if pairs is None else pairs
        end = _closing(text, match.start(), limit, pairs)
        if end is None:
            continue
        if trailing and (more := trailing.match(text, end)):
            end = more.end()
        kept.append(text[position : match.start()])
        removed.append(text[match.start() : end])
        position = end
    kept.append(text[position:])
    return Outcome("".join(kept), removed)


def _pairs(text: str) -> dict[int, int]:
    """Opening brackets with the index after the ones that close them, found in one pass."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACKET.finditer(text):
        if match[0] == "[":
            opened.append(match.start())
        elif opened:
            pairs[opened.pop()] = match.end()
    return pairs


def _closing(text: str, opening: int, limit: int, pairs: dict[int, int]) -> int | None:
    end = pairs.get(opening)
    if end is None:
        # A stray bracket inside took the closing one: the one that ends a paragraph is meant.
        found = text.find("]\n\n", opening, opening + limit)
        return found + 1 if found >= 0 else None
    return end if end - opening <= limit else None
