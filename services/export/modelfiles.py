"""Reads a Modelfile, Ollama's recipe of a model, into what its API takes.

The grammar is https://docs.ollama.com/modelfile: a line is an instruction and its argument; text may stand
between quotes or triple quotes, the latter over several lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.common.errors import Corrupt

Value = int | float | bool | str | list[str]

_TRIPLE = '"""'
_TEXTS = ("template", "system")
_IGNORED = frozenset({"from", "license", "requires"})


@dataclass(slots=True)
class Modelfile:
    """What a Modelfile says, beside the file that it is about."""

    template: str | None = None
    """How a prompt is wrapped; `{{ .Prompt }}` for completion."""
    system: str | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    """Options of generation by name; `stop` is a list."""


def parse(text: str) -> Modelfile:
    """Reads a Modelfile.

    Raises:
        Corrupt: `BAD_MODELFILE`: an instruction that is not known here, or a quote that never ends.
    """
    found = Modelfile()
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, _, argument = line.strip().partition(" ")
        instruction, argument = word.lower(), argument.strip()
        if argument.startswith(_TRIPLE):
            argument = _quoted(argument.removeprefix(_TRIPLE), lines)
        elif len(argument) > 1 and argument[0] == argument[-1] == '"':
            argument = argument[1:-1]
        if instruction in _TEXTS:
            setattr(found, instruction, argument)
        elif instruction == "parameter":
            _add_parameter(found.parameters, argument)
        elif instruction not in _IGNORED:
            raise Corrupt("BAD_MODELFILE", f"the Modelfile holds {word!r}, which this program does not send on")
    return found


def _quoted(first: str, lines: Iterator[str]) -> str:
    collected = first
    while _TRIPLE not in collected:
        following = next(lines, None)
        if following is None:
            raise Corrupt("BAD_MODELFILE", "a triple quote of the Modelfile never ends")
        collected += f"\n{following}"
    return collected[: collected.index(_TRIPLE)]


def _add_parameter(parameters: dict[str, Value], argument: str) -> None:
    name, _, text = argument.partition(" ")
    text = text.strip()
    if len(text) >= 2 * len(_TRIPLE) and text.startswith(_TRIPLE) and text.endswith(_TRIPLE):
        text = text[len(_TRIPLE) : -len(_TRIPLE)]
    elif len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if name == "stop":
        stops = parameters.setdefault("stop", [])
        assert isinstance(stops, list)  # noqa: S101 (only this branch sets it)
        stops.append(text)
        return
    parameters[name] = _number(text)


def _number(text: str) -> Value:
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?", text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)
