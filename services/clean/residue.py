"""How much of a clean text still looks like what the rules are to take out."""

import re

# One pattern a kind of leftover, so that a line counts once: frame and credits, marks in brackets, marks of type,
# HTML, web addresses, dot leaders, a page's number. A rule of asterisks is a scene break, not a leftover.
_LEFTOVER = re.compile(
    r"project gutenberg|\be-?texts?\b|\bpgdp\b|distributed proof|\btranscriber|small print|\*\*\* ?(?:start|end) of"
    r"|\[(?:illustration|footnote|sidenote|pg|page|music)\b|\[\d{1,3}\]|\{\d{1,4}\}"
    r"|(?<!\w)_[^\W_]|</?[a-z]{1,6}>|&[a-z]{2,6};|https?://|www\.|\.{6,}|^\W{0,4}page \d{1,4}\W{0,4}$",
    re.I,
)


def residue(text: str) -> float:
    """The share of the text's lines that are not blank which have a leftover, 0 to 1."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return 0.0
    return round(sum(_LEFTOVER.search(line) is not None for line in lines) / len(lines), 6)
