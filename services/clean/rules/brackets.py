"""Finds the end of a remark in brackets that may nest and may span paragraphs."""

_LIMIT = 20_000
"""Characters. The longest transcriber's notes have about 15,000; more means that the bracket was never closed."""


def closing(text: str, opening: int, limit: int = _LIMIT) -> int | None:
    """The index after the bracket that closes the one at `opening`, or None where none does within the limit.

    With an unbalanced bracket inside (an emoticon, a `[)o]`), the bracket that ends a paragraph is taken.
    """
    depth = 0
    fallback: int | None = None
    position = opening
    stop = min(len(text), opening + limit)
    while position < stop:
        if text[position] == "[":
            depth += 1
        elif text[position] == "]":
            depth -= 1
            if depth == 0:
                return position + 1
            if fallback is None and text.startswith("\n\n", position + 1):
                fallback = position + 1
        position += 1
    return fallback
