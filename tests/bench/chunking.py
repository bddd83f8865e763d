"""How fast texts are chunked: `python -m tests.bench.chunking [TEXT…]` (the tales where no text is named).

Prints millions of characters a second, best of five, and how many times longer it takes than `str.split` of the same
text, a figure that says the same on any machine.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.examples.catalogue import TALES
from services.chunk.chunking import chunk

_AT_LEAST = 4_000_000  # characters, so that a measurement takes a good part of a second


def main(names: list[str]) -> None:
    """Measures book paragraphs, and the same without a single line's end: where Punkt has to find every place."""
    paths = [Path(name) for name in names] or sorted(TALES.glob("9*.txt"))
    text = "\n\n".join(_read(path) for path in paths)
    text = (text + "\n\n") * -(-_AT_LEAST // len(text))
    plain = _seconds(lambda: len(text.split()))
    print(f"{len(text):,} characters; str.split {len(text) / plain / 1e6:.0f} M characters/s")
    for name, one in (("paragraphs", text), ("one line", " ".join(text.split()))):
        seconds = _seconds(lambda one=one: len(chunk(one)))  # type: ignore[misc]
        print(f"{name}: {len(one) / seconds / 1e6:.1f} M characters/s, {seconds / plain:.1f} times str.split")


def _seconds(work: Callable[[], int]) -> float:
    work()
    times = []
    for _ in range(5):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def _read(path: Path) -> str:
    """Paragraphs on a line each, as clean texts have them."""
    text = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip())


if __name__ == "__main__":
    main(sys.argv[1:])
