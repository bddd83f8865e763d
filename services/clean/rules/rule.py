"""What a cleaning rule is, and the two ways in which most of them cut."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule gives."""

    text: str
    removed: Sequence[str]
    """Each piece that was taken out, in order, as it stood."""


class Apply(Protocol):
    """A pure function of the text alone: no setting, no state, linear in the text's length.

    The text has \\n line endings. A rule that finds nothing returns the text as it is.
    """

    def __call__(self, text: str) -> Outcome:
        """Applies the rule."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the list names it."""

    name: str
    """Stable: it names the rule in reports."""
    version: int
    """Raised with every change of what the rule does to any text, together with `cleaning.VERSION`."""
    apply: Apply


def without_matches(text: str, pattern: re.Pattern[str], replacement: str = "") -> Outcome:
    """Takes out every match of a pattern. The replacement may refer to the pattern's groups."""
    removed: list[str] = []

    def take(match: re.Match[str]) -> str:
        removed.append(match[0])
        return match.expand(replacement) if replacement else ""

    return Outcome(pattern.sub(take, text), removed)


def without_lines(lines: Sequence[str], spans: Iterable[tuple[int, int]]) -> Outcome:
    """Takes out spans (first, end) of lines. Spans may overlap, and come in any order."""
    kept: list[str] = []
    removed: list[str] = []
    position = 0
    for first, end in sorted(spans):
        if end <= position:
            continue
        kept.extend(lines[position:first])
        removed.append("\n".join(lines[max(first, position) : end]))
        position = end
    kept.extend(lines[position:])
    return Outcome("\n".join(kept), removed)
