"""No text, however made, takes a rule more time than its length warrants."""

import time

import pytest

from services.clean.metadata import read
from services.clean.residue import residue
from services.clean.rules import RULES

_SMALL = 15_000
_TIMES = 4
_SLACK = 2.5
"""A quadratic rule takes four times as long for each character of a text four times as long."""
_FLOOR = 0.15
"""Seconds below which nothing is said: the measurement is noise."""

UNITS = {
    "letters": "a",
    "words": "word ",
    "spaces": " ",
    "blank lines": "\n",
    "underscores": "_",
    "open italics": "_a ",
    "open brackets": "[",
    "empty brackets": "[] ",
    "open illustrations": "[Illustration ",
    "open footnotes": "[Footnote 1: ",
    "open notes": "[Transcriber's Note ",
    "asterisks": "* ",
    "dashes": "-",
    "dots": ". ",
    "numbers": "1\n",
    "braces": "{1",
    "equals": "=a",
    "tags": "<i",
    "hyphens at line ends": "a-\n",
    "start markers": "*** START OF THE PROJECT GUTENBERG EBOOK X\n",
    "end markers": "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n",
    "last lines": "End of Project Gutenberg\n",
    "headings of contents": "CONTENTS\n\n",
    "chapters": "CHAPTER I\n\n",
    "headings of notes": "Transcriber's Note\n\n",
    "credits": "Produced by X\n\n",
    "addresses": "a@b.",
    "fields": "Title: x\n",
}


def seconds(function: object, text: str) -> float:
    assert callable(function)
    begun = time.process_time()
    function(text)
    return time.process_time() - begun


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_time_grows_with_length(unit: str) -> None:
    small, large = ((unit * (size // len(unit) + 1))[:size] for size in (_SMALL, _SMALL * _TIMES))
    for name, function in [*((rule.name, rule.apply) for rule in RULES), ("residue", residue), ("metadata", read)]:
        long = seconds(function, large)
        if long < _FLOOR:
            continue
        # The fastest of a few is the least disturbed by whatever else the machine does.
        short = min(seconds(function, small) for _ in range(3))
        long = min(long, *(seconds(function, large) for _ in range(2)))
        assert long < max(_FLOOR, short * _TIMES * _SLACK), (
            f"{name}: {short:.3f} s, {_TIMES} times as long {long:.3f} s"
        )
