"""Blocks: runs of lines between blank lines. Paragraphs, stanzas, headings and lists all are blocks."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines that are not blank."""

    first: int
    """Index of its first line."""
    lines: tuple[str, ...]

    @property
    def end(self) -> int:
        """Index after its last line."""
        return self.first + len(self.lines)

    @property
    def text(self) -> str:
        """Its lines as one string."""
        return "\n".join(self.lines)


def blocks_of(lines: Sequence[str]) -> list[Block]:
    """Splits lines at the blank ones."""
    found: list[Block] = []
    first: int | None = None
    for index, line in enumerate(lines):
        blank = not line or line.isspace()
        if first is None:
            first = None if blank else index
        elif blank:
            found.append(Block(first, tuple(lines[first:index])))
            first = None
    if first is not None:
        found.append(Block(first, tuple(lines[first:])))
    return found
