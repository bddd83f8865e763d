"""llama.cpp's name of a tokenizer's pre-tokenizer, told from what it is made of.

llama.cpp knows pre-tokenizers by name and has each in C++; its converter tells a tokenizer by the ids that it gives
to one text, so that a tokenizer with a vocabulary of its own is unknown to it, however common its way of splitting.
The parity check compares the ids afterwards, so that a wrong name does not get through.
"""

import json
from typing import Any

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}

_NAMES: tuple[tuple[str, tuple[dict[str, Any], ...]], ...] = (
    ("gpt-2", (_BYTES,)),
    ("smollm", (_DIGITS, _BYTES)),
)
"""What llama.cpp calls these, each a list of steps."""


def known_as(tokenizer: str) -> str | None:
    """Finds the name of a byte-level BPE's pre-tokenizer.

    Args:
        tokenizer: a tokenizer.json.

    Returns:
        The name, None when it is none of those known here.
    """
    parts = json.loads(tokenizer)
    if parts["model"].get("type") != "BPE" or parts.get("normalizer"):
        return None
    steps = _steps(parts.get("pre_tokenizer") or {})
    for name, wanted in _NAMES:
        if len(steps) == len(wanted) and all(map(_matches, steps, wanted)):
            return name
    return None


def _steps(pre_tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    if pre_tokenizer.get("type") == "Sequence":
        return list(pre_tokenizer["pretokenizers"])
    return [pre_tokenizer]


def _matches(step: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(step.get(key) == value for key, value in wanted.items())
