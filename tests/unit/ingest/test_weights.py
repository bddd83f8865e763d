import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from services.common.errors import Refused
from services.ingest.weights import count_parameters

REAL = save({"a": np.zeros((3, 5), np.float16), "b": np.zeros((7,), np.float32)}, {"format": "pt"})


def counted(raw: bytes) -> int:
    return count_parameters(lambda offset, length: raw[offset : offset + length], len(raw), "w.safetensors")


def made(header: Any, data: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def test_parameters_are_counted_from_the_header() -> None:
    assert counted(REAL) == 22
    assert counted(save({"scalar": np.zeros((), np.float32)})) == 1


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "starts with"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "git lfs pull"),
        (REAL[:-1], "header tells"),
        (REAL + b"\0", "header tells"),
        (REAL[:40], "no safetensors"),
        (b"\xff" * 64, "no safetensors"),
        (made(b"[1]"), "does not read"),
        (made(b"{ nope"), "does not read"),
        (made({"a": {"shape": [1]}}), "does not read"),
        (made({"a": {"shape": ["x"], "data_offsets": [0, 1]}}, b"1"), "does not read"),
        (made(b"[" * 50_000), "does not read"),
    ],
)
def test_what_is_not_all_of_a_safetensors_file_is_declined(raw: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        counted(raw)
    assert caught.value.reason == "INCOMPLETE_MODEL"
