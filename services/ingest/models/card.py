"""Reads the licence from a model's card."""

import re


def licence_of(card: str) -> str:
    """Returns the `license` of a card's front matter, empty where it states none."""
    front = _FRONT.match(card)
    found = _LICENCE.search(front[1]) if front else None
    return found[1].strip("'\"") if found else ""


# The YAML between the first two lines of dashes.
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---", re.S)

# A single value; a list of licences, which is rare, states none.
_LICENCE = re.compile(r"^license:[ \t]*([^\s#\[]+)", re.M)
