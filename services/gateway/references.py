"""Finds which objects a JSON value refers to."""

import re
from collections.abc import Iterator
from typing import Any

_UPLOAD = re.compile(r"upload:([0-9a-f]{64})")


def referred_keys(value: Any) -> Iterator[str]:
    """Gives the keys of all references in a value: objects with `key` and `sha256`, and `upload:` URIs."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("key"), str) and isinstance(part.get("sha256"), str) and part["key"]:
                yield part["key"]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, str) and (upload := _UPLOAD.fullmatch(part)):
            yield f"uploads/{upload[1]}"
