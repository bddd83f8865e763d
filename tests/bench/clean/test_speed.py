"""Speed of cleaning: megabytes a second, and that it does not fall with a book's size or shape."""

import time

import pytest

from services.clean.cleaning import clean
from tests.support.gutenberg import BODY, framed

_MEGABYTE = 1_000_000

SHAPES = {
    "a book": lambda size: framed(f"{BODY}\n\n" * (size // len(BODY))),
    "one line": lambda size: "The lamp went from that window to the next one. " * (size // 48),
    "one word": lambda size: "lamp" * (size // 4),
    "short lines": lambda size: "The lamp.\n" * (size // 10),
    "marks everywhere": lambda size: "_The_ [1] {2} [Illustration: lamp] <i>went</i>\n\n" * (size // 50),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_text_takes_four_times_the_time(shape: str) -> None:
    seconds = []
    for size in (_MEGABYTE, 4 * _MEGABYTE):
        text = SHAPES[shape](size)
        begun = time.process_time()
        clean(text)
        seconds.append(time.process_time() - begun)
    print(f"{shape}: {1 / seconds[0]:.1f} MB/s of 1 MB, {4 / seconds[1]:.1f} MB/s of 4 MB")
    assert seconds[1] < 10 * seconds[0]
