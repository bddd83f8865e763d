"""Characters that print nothing: control characters, stray byte order marks, soft hyphens, zero-width spaces.

Old files have form feeds between pages and the end-of-file mark of DOS; files copied from web pages the others.
A form feed or vertical tab stands for a line end and a no-break space for a space; the rest is taken out.
"""

import re

from services.clean.rules.rule import Outcome

# Every control character but tab and newline, and the format characters that no printed book has: soft hyphen,
# zero-width space and joiners at word ends, directional marks, word joiner, byte order mark.
_UNPRINTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\xad\u200b\u200e\u200f\u2028\u2029\u2060\ufeff]")

_STANDS_FOR = {"\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n\n", "\xa0": " "}


def remove(text: str) -> Outcome:
    """Takes out or replaces each unprinted character."""
    removed: list[str] = []

    def take(match: re.Match[str]) -> str:
        removed.append(match[0])
        return _STANDS_FOR.get(match[0], "")

    return Outcome(_UNPRINTED.sub(take, text), removed)
