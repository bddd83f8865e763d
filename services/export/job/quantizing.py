"""Makes a quantised GGUF of one in 16 bits, byte for byte as llama-quantize would, in bounded memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import libgguf
import numpy as np
from libgguf import GGMLQuantizationType as Kind

from services.common.writing import replacing
from services.export.job.layout import Entry, Tensor, padding, read_frame, write_frame
from services.export.job.quantizations.rules import Quantization, types
from services.jobs.exits import NotFinite

CHUNK = 4 << 20
"""Numbers of a tensor at a time: 16 MiB as 32-bit floats. A row's bytes do not depend on it."""

_QUANTIZATION_VERSION = 2  # of ggml's block formats; llama-quantize writes it anew, and so last but one
_LAST = ("general.quantization_version", "general.file_type")


def quantize(
    source: Path, target: Path, quantization: Quantization, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Writes `target`, which appears only when it is whole.

    Args:
        source: a GGUF in 16 bits.
        target: the file to make; replaced when it exists.
        quantization: which types tensors get.
        progress: told bytes read and bytes in all, after each chunk; it may raise to stop.

    Raises:
        NotFinite: a weight is infinite or no number: its block would be garbage.
        BadConfiguration: `BAD_MODEL`.
        Exhausted: `DISK_FULL`.
    """
    frame = read_frame(source)
    plan = list(types(quantization, frame))
    entries = [entry for entry in frame.entries if entry.key not in _LAST]
    values = (_QUANTIZATION_VERSION, quantization.file_type)
    entries += [Entry.of_int(key, value) for key, value in zip(_LAST, values, strict=True)]
    total = sum(tensor.size for tensor, _ in plan)
    done = 0
    with replacing(target) as file:
        made = [Tensor(tensor.name, tensor.shape, kind) for tensor, kind in plan]
        write_frame(file, entries, made, frame.alignment)
        for tensor, kind in plan:
            for chunk in _chunks(source, tensor):
                file.write(_converted(chunk, tensor, kind))
                done += chunk.nbytes
                progress(done, total)
            file.write(bytes(padding(file.tell(), frame.alignment)))


def _chunks(source: Path, tensor: Tensor) -> Iterator[np.ndarray]:
    dtype = {Kind.F32: np.float32, Kind.F16: np.float16}.get(tensor.kind, np.uint8)
    width = tensor.size // tensor.rows // np.dtype(dtype).itemsize
    data = np.memmap(source, dtype=dtype, mode="r", offset=tensor.start, shape=(tensor.rows, width))
    step = max(1, CHUNK // tensor.shape[0])
    for row in range(0, tensor.rows, step):
        yield np.asarray(data[row : row + step])


def _converted(chunk: np.ndarray, tensor: Tensor, kind: Kind) -> bytes:
    if kind == tensor.kind:
        return chunk.tobytes()
    numbers = chunk.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise NotFinite(message=f"{tensor.name!r} holds a weight that is infinite or no number")
    rows: np.ndarray = libgguf.quantize_rows(numbers, kind)
    return rows.tobytes()
