"""Values inside Markdown (GitHub's flavour, which the Hub renders): shown as they are, never obeyed."""

import re
from collections.abc import Iterable

# Everything that begins an emphasis, a link, a code span, HTML, a table cell, a mention, math or an address.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&$:@!(){}])")
_WWW = re.compile(r"\bwww\.", re.IGNORECASE)  # GitHub's flavour links these without any mark
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_CUT = "…"


def text(value: object, limit: int = 160) -> str:
    """Gives a value as words of one line.

    Args:
        value: shown by `str`; whitespace and what is invisible becomes one space.
        limit: characters at the most; what is cut is marked.
    """
    return _WWW.sub(lambda m: m[0][:-1] + r"\.", _SPECIAL.sub(r"\\\1", _line(value, limit)))


def code(value: object, limit: int = 160) -> str:
    """Gives a value as a code span, also inside a table."""
    line = _line(value, limit)
    if not line:
        return ""
    ticks = "`" * (_longest_run(line) + 1)
    space = " " if "`" in (line[0], line[-1]) else ""
    # A table ends its cells at a bar before it looks for code spans.
    return f"{ticks}{space}{line}{space}{ticks}".replace("|", r"\|")


def block(value: str, language: str = "", limit: int = 2000) -> str:
    """Gives text as a fenced block that it cannot end."""
    shown = "".join(c for c in value[:limit] if c.isprintable() or c in "\n\t").strip("\n")
    if len(value) > limit:
        shown += _CUT
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Gives a table of cells that are Markdown already."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(value: object, limit: int) -> str:
    line = _BREAKS.sub(" ", str(value)).strip()
    line = line.encode("utf-8", "replace").decode()  # a half of a surrogate pair has no bytes
    return line if len(line) <= limit else line[: limit - 1].rstrip() + _CUT


def _longest_run(line: str) -> int:
    return max((len(run) for run in re.findall("`+", line)), default=0)
