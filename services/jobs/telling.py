"""Says why a program ended in a file that whoever runs it reads, since a store that has failed cannot be told."""

import json
from contextlib import suppress
from pathlib import Path

_LIMIT = 4000  # bytes; Kubernetes reads 4,096 of a termination message


def tell(path: Path | None, reason: str, message: str) -> None:
    """Writes down the end of a program. Never fails.

    Args:
        path: the file, overwritten; None where nobody reads it.
        reason: UPPER_SNAKE.
        message: for a person; cut where it is long.
    """
    if path is None:
        return
    room = _LIMIT
    while len(text := json.dumps({"reason": reason, "message": message[:room]}).encode()) > _LIMIT:
        room = room * _LIMIT // len(text) - 1
    with suppress(OSError):
        path.write_bytes(text)
