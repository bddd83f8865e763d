"""One form of a JSON value, so that equal values have equal bytes and equal hashes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = Mapping[str, "JSON"] | Sequence["JSON"] | str | int | float | bool | None
"""What JSON can say."""


def canonical_json(value: JSON) -> bytes:
    """Gives the canonical form: keys sorted, no spaces, UTF-8, shortest floats.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(value: JSON) -> str:
    """Gives the hexadecimal SHA-256 of the canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
