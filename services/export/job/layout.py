"""The frame of a GGUF file: its values, and which tensor lies where. The data stay on disk.

Written after the format's description in ggml (`docs/gguf.md`), version 3, little-endian. What is read
here was made by the converter of this very job, so anything odd is a defect and raises.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from libgguf import GGML_QUANT_SIZES, GGMLQuantizationType

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
"""Of tensors, where the file does not say otherwise (`general.alignment`)."""

BLOCKS: dict[GGMLQuantizationType, tuple[int, int]] = GGML_QUANT_SIZES
"""Numbers of a block and bytes that hold it, by type."""

_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING = 8
_ARRAY = 9
_UINT32 = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One named value."""

    key: str
    """For example `general.name`."""
    raw: bytes
    """As it stands in the file: key, type and value."""
    value: int | float | bool | str | None
    """None for an array: those are only carried over."""

    @classmethod
    def of_int(cls, key: str, value: int) -> "Entry":
        """Makes an unsigned 32-bit value."""
        return cls(key, _text(key) + struct.pack("<II", _UINT32, value), value)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor."""

    name: str
    """For example `blk.0.attn_v.weight`."""
    shape: tuple[int, ...]
    """Columns first, as ggml counts: `shape[0]` numbers are contiguous."""
    kind: GGMLQuantizationType
    """How numbers are stored."""
    start: int = 0
    """Where its data begin in the file."""

    @property
    def rows(self) -> int:
        """Rows of `shape[0]` numbers."""
        return self.elements // self.shape[0]

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of its data."""
        block, size = BLOCKS[self.kind]
        return self.elements // block * size


@dataclass(frozen=True, slots=True)
class Frame:
    """All of a file but the data."""

    entries: tuple[Entry, ...]
    """In the file's order."""
    tensors: tuple[Tensor, ...]
    """In the file's order."""

    def value(self, key: str) -> int | float | bool | str | None:
        """Finds a value, None when there is none."""
        return next((entry.value for entry in self.entries if entry.key == key), None)

    def count(self, key: str) -> int:
        """Finds a whole number of the model's architecture, `block_count` for example; 0 when there is none.

        Some are arrays, one number a layer; they count as 0 here.
        """
        value = self.value(f"{self.value('general.architecture')}.{key}")
        return value if isinstance(value, int) else 0

    @property
    def alignment(self) -> int:
        """What the beginnings of tensors are multiples of."""
        value = self.value("general.alignment")
        return value if isinstance(value, int) else ALIGNMENT

    @property
    def bits_per_weight(self) -> float:
        """Bits of a number on average, over all tensors."""
        return 8 * sum(t.size for t in self.tensors) / sum(t.elements for t in self.tensors)


def read_frame(path: Path) -> Frame:
    """Reads the frame of a file.

    Raises:
        ValueError: it is no GGUF of version 3.
    """
    with path.open("rb") as file:
        magic, version, tensors, entries = struct.unpack("<4sIQQ", file.read(24))
        if magic != MAGIC or version != VERSION:
            raise ValueError(f"{path.name} is no GGUF of version {VERSION}")
        read = tuple(_entry(file) for _ in range(entries))
        found = [_tensor(file) for _ in range(tensors)]
        frame = Frame(read, ())
        begin = _padded(file.tell(), frame.alignment)
    return Frame(read, tuple(Tensor(t.name, t.shape, t.kind, begin + t.start) for t in found))


def write_frame(file: IO[bytes], entries: Sequence[Entry], tensors: Sequence[Tensor], alignment: int) -> None:
    """Writes the frame of a new file; the data of the tensors must follow, in order, each padded (`padding`)."""
    file.write(struct.pack("<4sIQQ", MAGIC, VERSION, len(tensors), len(entries)))
    for entry in entries:
        file.write(entry.raw)
    start = 0
    for tensor in tensors:
        shape = _without_ones(tensor.shape)
        file.write(_text(tensor.name) + struct.pack(f"<I{len(shape)}q", len(shape), *shape))
        file.write(struct.pack("<IQ", tensor.kind, start))
        start += _padded(tensor.size, alignment)
    file.write(bytes(padding(file.tell(), alignment)))


def padding(size: int, alignment: int) -> int:
    """Bytes of zero between data of that size and the next tensor."""
    return -size % alignment


def _padded(size: int, alignment: int) -> int:
    return size + padding(size, alignment)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _entry(file: IO[bytes]) -> Entry:
    start = file.tell()
    key = _read_text(file)
    (kind,) = _read(file, "<I")
    value: int | float | bool | str | None = None
    if kind == _STRING:
        value = _read_text(file)
    elif kind == _ARRAY:
        _skip_array(file)
    else:
        (value,) = _read(file, _FORMATS[kind])
    length = file.tell() - start
    file.seek(start)
    return Entry(key, file.read(length), value)


def _skip_array(file: IO[bytes]) -> None:
    kind, count = _read(file, "<IQ")
    if kind in _FORMATS:
        file.seek(count * struct.calcsize(_FORMATS[kind]), 1)
        return
    for _ in range(count):
        if kind == _ARRAY:
            _skip_array(file)
        else:
            file.seek(_read(file, "<Q")[0], 1)


def _tensor(file: IO[bytes]) -> Tensor:
    name = _read_text(file)
    (dimensions,) = _read(file, "<I")
    shape = _read(file, f"<{dimensions}Q")
    kind, start = _read(file, "<IQ")
    return Tensor(name, tuple(shape), GGMLQuantizationType(kind), start)


def _read(file: IO[bytes], layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _read_text(file: IO[bytes]) -> str:
    return file.read(_read(file, "<Q")[0]).decode()
