"""The metadata at the head of a card, as https://huggingface.co/docs/hub/model-cards#model-card-metadata."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = str | Sequence["Value"] | Mapping[str, "Value"]

# Of the identifiers at https://huggingface.co/docs/hub/repositories-licenses, those that base models bear.
# fmt: off
_LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "zlib", "mpl-2.0", "gpl-2.0", "gpl-3.0",
    "lgpl-3.0", "agpl-3.0", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "odc-by", "pddl", "cdla-permissive-2.0", "openrail", "openrail++",
    "creativeml-openrail-m", "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bigcode-openrail-m", "llama2",
    "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma", "unknown",
})
# fmt: on
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_HUB_MODEL = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@[\w./-]+)?")


def front_matter(fields: Mapping[str, Value | None]) -> str:
    """Gives a block of YAML between two rules; a field that is None or empty is left out."""
    lines = [f"{name}: {_flow(value)}" for name, value in fields.items() if value]
    return "\n".join(("---", *lines, "---"))


def licence_fields(licence: str) -> dict[str, Value]:
    """Gives the licence in the Hub's terms: one of its identifiers, or `other` and a name."""
    wanted = licence.strip().lower()
    if not wanted:
        return {"license": "unknown"}
    if wanted in _LICENCES:
        return {"license": wanted}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", wanted).strip("-")[:96] or "other"}


def hub_model(base_model: str) -> str | None:
    """Gives the Hub's id of `hf:ORG/NAME@COMMIT`; None for a model from elsewhere."""
    found = _HUB_MODEL.fullmatch(base_model)
    return found[1] if found else None


def languages(codes: Sequence[str]) -> list[str]:
    """Gives ISO 639 codes in order, without what is none."""
    return sorted({code for code in codes if _LANGUAGE.fullmatch(code)})


def _flow(value: Value) -> str:
    """Gives a value in YAML's flow style, which is JSON's."""
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    return "[" + ", ".join(_flow(item) for item in value) + "]"


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    if 0xD800 <= ord(character) <= 0xDFFF:
        return "\ufffd"  # half of a surrogate pair is no character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
