"""Reads the headers of safetensors files: whether a file is one, whole, and how many parameters it holds."""

import json
import math
from collections.abc import Callable

from services.common.errors import Refused

ReadRange = Callable[[int, int], bytes]
"""Returns the bytes of a file from an offset, so many of them."""


def count_parameters(read: ReadRange, size: int, what: str) -> int:
    """Returns the parameters in a safetensors file of `size` bytes.

    The format: the header's length (8 bytes, little endian), a JSON object of tensors with their shapes and their
    offsets behind the header, then the tensors without gaps (https://github.com/huggingface/safetensors#format).
    Raises Refused INCOMPLETE_MODEL for what is no such file, or not all of one.
    """
    length = int.from_bytes(read(0, 8), "little")
    if size < 8 or not 2 <= length <= min(_HEADER, size - 8):
        start = read(0, 60)
        hint = "; it is a Git LFS pointer: run `git lfs pull` first" if start.startswith(_POINTER) else ""
        raise Refused("INCOMPLETE_MODEL", f"{what} is no safetensors file{hint}; it starts with {start[:24]!r}")
    try:
        header = json.loads(read(8, length))
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        parameters = sum(math.prod(int(n) for n in tensor["shape"]) for tensor in tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Refused("INCOMPLETE_MODEL", f"{what} is no safetensors file: its header does not read") from error
    if 8 + length + end != size:
        raise Refused("INCOMPLETE_MODEL", f"{what} has {size:,} bytes where its header tells of {8 + length + end:,}")
    return parameters


_HEADER = 100_000_000
"""Bytes of a header at most, as the format's own reader bounds it."""

_POINTER = b"version https://git-lfs"
