"""Cleans one book: applies the rules in order and reports what each of them removed."""

from dataclasses import asdict, dataclass
from typing import Any

from services.clean import metadata
from services.clean.metadata import Metadata
from services.clean.residue import residue
from services.clean.rules import RULES
from services.clean.rules.rule import Outcome, Rule
from services.common.errors import Refused
from services.common.texts import decode, require_text

VERSION = 1
"""The step's version: raised when the clean text or the report of any book changes."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which texts are refused, and how much a report says. None of it changes a clean text."""

    max_characters: int = 32_000_000
    """A longer text is refused. The longest books have 10 million; the rules are linear, at about 1 s a million."""
    min_characters: int = 200
    """A text with less prose is refused: nothing is learnt from a title page. A short poem has 300."""
    examples: int = 3
    """Examples a rule in the report."""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What one rule did to a text."""

    name: str
    version: int
    characters: int
    """By which the rule made the text shorter."""
    occurrences: int
    """Places that the rule changed."""
    examples: tuple[str, ...]
    """The first pieces that it took out, shortened."""


@dataclass(frozen=True, slots=True)
class Report:
    """What cleaning did to a text."""

    version: int
    """VERSION of the step."""
    characters_in: int
    characters_out: int
    rules: tuple[RuleReport, ...]
    """In the order in which they were applied; a rule that found nothing is there too."""
    residue: float
    """Share of lines that still look like a frame, mark-up or page furniture, 0 to 1."""
    metadata: Metadata

    def to_json(self) -> dict[str, Any]:
        """Gives the report as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A clean text and how it came about."""

    text: str
    """Paragraphs on one line each, verse line by line, a blank line between, one newline at the end."""
    report: Report


DEFAULTS = Options()


def clean_bytes(raw: bytes, options: Options = DEFAULTS) -> Cleaned:
    """Decodes a book by its bytes and cleans it.

    Raises Refused as `clean` does, and with HTML, CAPTCHA, PDF or ZIP for a body that is one.
    """
    require_size(len(raw), options)
    require_text(raw)
    return clean(decode(raw).text, options)


def require_size(size: int, options: Options = DEFAULTS) -> None:
    """Refuses a text by its bytes alone, before it is read or decoded: no encoding has more than four a character.

    Raises Refused: TOO_LONG.
    """
    if size > 4 * options.max_characters:
        raise _too_long(size, "bytes", options)


def clean(text: str, options: Options = DEFAULTS) -> Cleaned:
    """Applies the rules.

    Raises Refused: EMPTY (nothing but white space), BINARY (control or undecodable characters), TOO_LONG,
    ONLY_LICENCE (a frame and no book in it), TOO_SHORT (less prose than `options.min_characters`).
    """
    if len(text) > options.max_characters:
        raise _too_long(len(text), "characters", options)
    if not text or text.isspace():
        raise Refused("EMPTY", f"the text of {len(text)} characters has nothing but white space")
    if unreadable := _unreadable(text):
        raise Refused("BINARY", f"{unreadable} of {len(text)} characters are control characters or undecodable")
    about = metadata.read(text)
    current = text
    reports: list[RuleReport] = []
    for rule in RULES:
        outcome = rule.apply(current)
        reports.append(_report(rule, current, outcome, options))
        current = outcome.text
    _require_prose(current, reports, options)
    return Cleaned(current, Report(VERSION, len(text), len(current), tuple(reports), residue(current), about))


_UNREADABLE_SHARE = 1000
"""One control or replacement character in so many makes a text binary; a few come from damaged files."""

_CONTROLS = dict.fromkeys((*range(9), *range(14, 26), *range(28, 32), 0x7F, 0xFFFD))

_EXAMPLE = 80
"""Characters of an example."""


def _too_long(length: int, unit: str, options: Options) -> Refused:
    return Refused(
        "TOO_LONG",
        f"the text has {length} {unit}, the most is {options.max_characters} characters: split it into books",
    )


def _unreadable(text: str) -> int:
    count = len(text) - len(text.translate(_CONTROLS))
    return count if count * _UNREADABLE_SHARE > len(text) else 0


def _report(rule: Rule, before: str, outcome: Outcome, options: Options) -> RuleReport:
    return RuleReport(
        name=rule.name,
        version=rule.version,
        characters=len(before) - len(outcome.text),
        occurrences=len(outcome.removed),
        examples=tuple(_example(piece) for piece in outcome.removed[: options.examples]),
    )


def _example(piece: str) -> str:
    words = " ".join(piece[: 4 * _EXAMPLE].split())
    return words if len(words) <= _EXAMPLE else words[: _EXAMPLE - 3].rstrip() + "..."


def _require_prose(text: str, reports: list[RuleReport], options: Options) -> None:
    if len(text) >= options.min_characters:
        return
    framed = next(report.characters for report in reports if report.name == "frame")
    if framed > len(text):
        raise Refused("ONLY_LICENCE", f"the text is a header or licence of {framed} characters with no book in it")
    raise Refused(
        "TOO_SHORT", f"{len(text)} characters of prose are left, the least is {options.min_characters}: {text[:60]!r}"
    )
