"""Locks of files between processes of one machine, which end with whoever holds them, however that dies."""

import fcntl
import os
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Takes a lock, or gives None when someone has it.

    Returns:
        A file descriptor. The lock is held until it and all copies of it, in children that inherited it, are closed.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _flocked(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    return None


def is_locked(path: Path) -> bool:
    """Says whether someone has a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two that only ask do not find each other.
        return not _flocked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _flocked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
