"""Gives a run's files out: whole, or one range of one."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from bookmill.v1 import run_pb2
from services.common.errors import Corrupt, InvalidInput, NotFound
from services.common.objects import Reference
from services.common.storage import Store

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(InvalidInput):
    """No byte of the file lies in the range; the metadata `size` says how many it has."""

    code = grpc.StatusCode.OUT_OF_RANGE


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a file."""

    first: int
    """Offset of its first byte."""
    length: int


def file_of(run: run_pb2.Run, name: str) -> Reference:
    """Finds a file among a run's results.

    Raises:
        NotFound: `NO_SUCH_FILE`, with the names there are.
    """
    for file in run.files:
        if file.name == name:
            return Reference.from_proto(file.file)
    choices = ", ".join(file.name for file in run.files)
    listed = f"it has {choices}" if choices else "it has none before it ends"
    raise NotFound("NO_SUCH_FILE", f"{run.name} has no file {name[:80]!r}; {listed}", choices=choices)


def part_of(header: str | None, size: int) -> Part | None:
    """Reads a Range header (RFC 9110, section 14): one range of bytes.

    Returns:
        None for the whole: without a header, and, as the RFC has it, with one that is not understood.

    Raises:
        RangeNotSatisfiable: `RANGE_NOT_SATISFIABLE`.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:  # the last so many bytes
        length = min(int(last), size)
        begin, end = size - length, size
    else:
        begin, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        message = f"{header!r} holds no byte of the file's {size:,}"
        raise RangeNotSatisfiable("RANGE_NOT_SATISFIABLE", message, size=str(size))
    return Part(begin, end - begin)


def blocks(store: Store, reference: Reference, part: Part | None) -> Iterator[bytes]:
    """Streams a file, or a part of it.

    Raises:
        Corrupt: `CORRUPT_OBJECT`: the whole is not what its SHA-256 says. Its last block is kept back until that is
            known, so that no one takes the file for complete.
    """
    if part is not None:
        yield from store.stream(reference.key, part.first, part.length)
        return
    seen = hashlib.sha256()
    held = b""
    for block in store.stream(reference.key):
        if held:
            yield held
        seen.update(block)
        held = block
    if seen.hexdigest() != reference.sha256:
        raise Corrupt("CORRUPT_OBJECT", f"{reference.key} is not what its SHA-256 says", key=reference.key)
    if held:
        yield held
