"""Marks of type: _italics_, =bold=, ~spaced out~, and the few HTML tags that plain texts have.

The words stay. A mark counts where it opens at a word's start and closes at a word's end, so that a blank to fill in
(Mr. ____), a snake_case_name or a sum (a = b = c) stays as it is.
"""

import re

from services.clean.rules.rule import Outcome

# <i>, <b>, <em>, <strong>, <u>, <small>, <sc>, <sup>, <sub>, opening or closing, without attributes.
_TAG = re.compile(r"</?(?:i|b|em|strong|u|small|sc|sup|sub|g)>", re.I)

# An underscore that opens at a word's start, and the next one, which closes. Whole paragraphs and letters stand
# between a
# pair in some books, and some have the space inside (_so _that). Doubled ones are blanks to fill in.
_ITALIC = re.compile(r"(?<!_)_(?=[^\s_])([^_]{1,6000})_(?!_)")

# =bold= and ~spaced out~: the opening mark after a space, line start or quote, the closing one before a space or stop.
_BOLD = re.compile(
    r"(?:(?<=^)|(?<=[\s(\[\"'“‘—-]))([=~])(?![\s=~])([^=~\n]{1,200}?)(?<!\s)\1(?=[\s.,;:!?)\]\"'”’—-]|$)", re.M
)


def remove(text: str) -> Outcome:
    """Takes out marks of type and keeps the words."""
    removed: list[str] = []

    def italic(match: re.Match[str]) -> str:
        if match[0].isidentifier() and _joined(match):
            return match[0]
        removed.append(match[0])
        return match[1]

    def bold(match: re.Match[str]) -> str:
        removed.append(match[0])
        return match[2]

    def tag(match: re.Match[str]) -> str:
        removed.append(match[0])
        return ""

    text = _TAG.sub(tag, text)
    text = _BOLD.sub(bold, text)
    text = _ITALIC.sub(italic, text)
    return Outcome(text, removed)


def _joined(match: re.Match[str]) -> bool:
    """Whether letters touch both marks from outside, as in snake_case_name."""
    text, before, after = match.string, match.start() - 1, match.end()
    return before >= 0 and after < len(text) and text[before].isalnum() and text[after].isalnum()
