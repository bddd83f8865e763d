"""Page numbers of the printed book, which some transcribers kept: [Pg 12], {12}, {pg 12}, Page 12 alone on a line.

A bare number alone on a line may as well be a chapter's. It is a page's where such numbers come often and stand in
the middle of sentences.
"""

import re

from services.clean.rules.rule import Outcome, without_lines, without_matches

# [Pg 12], [Page xii], [p. 12a], {12}, {pg 12}, [Seite 12], <p 12>, |Pg 12|, [pág. 3], with the space before. A bare
# number
# is taken in braces only, in square brackets it is a footnote's mark, and not behind a letter: CO{2}, w{i}th.
_MARK = re.compile(
    r"[ \t]?(?:[\[{<|](?:pgs?|pages?|p|pp|seite|s|blz|p[aá]g|pagina"
    r"|página)(?![a-z])[.:]?[ \t]?#?[\divxlc]{1,6}[a-z]?(?:[-–][\divxlc]{1,6})?[\]}>|]"
    r"|(?<![^\W\d_])\{(?:\d{1,4}[a-z]?|[ivxlc]{1,7})\}(?![^\W\d_]))",
    re.I,
)

# A line that has nothing but "Page 12", "- 12 -" or "[12]".
_LINE = re.compile(r"[ \t]*(?:page[ \t]+\d{1,4}|[-–—][ \t]?\d{1,4}[ \t]?[-–—]|\[\d{1,4}\])[ \t]*", re.I)

# A line that has a bare number, or one as an old scan left it: "12)".
_BARE = re.compile(r"[ \t]*\(?(\d{1,4})[).]?[ \t]*")

# A line that ends inside a sentence: on a letter, comma or hyphen.
_OPEN_END = re.compile(r"[a-z,;\-–]\s*$")

# A line that begins inside a sentence.
_OPEN_START = re.compile(r"\s*[a-z]")

_FEWEST = 5
"""So many bare numbers that interrupt a sentence make all rising bare numbers page numbers."""


def remove(text: str) -> Outcome:
    """Takes out page marks, and bare numbers where they are page numbers."""
    marks = without_matches(text, _MARK)
    lines = marks.text.split("\n")
    alone = [i for i, line in enumerate(lines) if _LINE.fullmatch(line)]
    bare = _bare_page_numbers(lines)
    cut = without_lines(lines, [(i, i + 1) for i in sorted({*alone, *bare})])
    return Outcome(cut.text, [*marks.removed, *cut.removed])


def _bare_page_numbers(lines: list[str]) -> list[int]:
    numbers = [(i, int(match[1])) for i, line in enumerate(lines) if (match := _BARE.fullmatch(line))]
    if sum(_interrupts(lines, i) for i, _ in numbers) < _FEWEST:
        return []
    return [i for (i, number), before in zip(numbers, [0, *(n for _, n in numbers)], strict=False) if number > before]


def _interrupts(lines: list[str], index: int) -> bool:
    before = next((lines[i] for i in range(index - 1, max(-1, index - 4), -1) if lines[i].strip()), "")
    after = next((lines[i] for i in range(index + 1, min(len(lines), index + 4)) if lines[i].strip()), "")
    return bool(_OPEN_END.search(before) and _OPEN_START.match(after))
