"""Bytes that must not change while the step's version does not, and models that cannot be converted.

Weights and adapter are whole numbers times powers of two, so that every sum is exact and no kind of CPU rounds
otherwise.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers

from services.export.job.gguf import convert
from services.export.job.merging import merge
from services.export.job.quantizations import quantization
from services.export.job.quantizing import quantize
from services.export.step import EXPORT
from services.jobs.exits import BadConfiguration
from services.jobs.signals import StopFlag
from tests.support.export_inputs import Inputs

GOLDEN = {
    "model.safetensors": "42169cca2a0e85907cacc448afae09e1f3119814095fa53172e68abfbe657b4a",
    "f16.gguf": "58559edf15130dc3ce7b9c2849b6cdfa6028e35ff567fbe5bb59e20eb12c66c6",
    "q4_k_m.gguf": "b12ec0fd93e04acbc0ee2d69a5c7792e676f5ccb5dafaee8c793fd0909c57979",
}
"""SHA-256 by file, of version 1."""


@pytest.fixture(scope="module")
def merged(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    base, adapter = folder / "base", folder / "adapter"
    for source, target in ((inputs.base, base), (inputs.adapter, adapter)):
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    _replace(base / "model.safetensors", 127, 1024)
    _replace(adapter / "adapter_model.safetensors", 1, 32)
    merge(base, adapter, folder / "merged")
    return folder / "merged"


def _replace(path: Path, largest: int, parts: int) -> None:
    """Put whole numbers up to `largest`, over `parts`, in place of all matrices."""
    random = np.random.default_rng(7)
    weights = load_file(path)
    for name, weight in sorted(weights.items()):
        if weight.dim() == 2:
            numbers = random.integers(-largest, largest + 1, tuple(weight.shape)) / parts
            weights[name] = torch.from_numpy(numbers).to(weight.dtype)
    save_file(weights, path, metadata={"format": "pt"})


def test_bytes_are_those_of_this_version(merged: Path, tmp_path: Path) -> None:
    convert(merged, tmp_path / "f16.gguf", "golden", StopFlag())
    quantize(tmp_path / "f16.gguf", tmp_path / "q4_k_m.gguf", quantization("q4_k_m"))
    paths = (merged / "model.safetensors", tmp_path / "f16.gguf", tmp_path / "q4_k_m.gguf")
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert (EXPORT.version, found) == (1, GOLDEN), "raise the version of EXPORT when bytes change"


def test_a_tokenizer_that_llama_cpp_does_not_have_is_refused(merged: Path, tmp_path: Path) -> None:
    folder = _copy(merged, tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("e", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(BadConfiguration, match="no pre-tokenizer") as failure:
        convert(folder, tmp_path / "f16.gguf", "odd", StopFlag())
    assert failure.value.reason == "UNKNOWN_TOKENIZER"
    assert not list(tmp_path.glob("*.gguf"))


def test_an_architecture_that_llama_cpp_does_not_have_is_refused(merged: Path, tmp_path: Path) -> None:
    folder = _copy(merged, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["OwnForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadConfiguration, match="OwnForCausalLM") as failure:
        convert(folder, tmp_path / "f16.gguf", "odd", StopFlag())
    assert failure.value.reason == "CONVERSION_FAILED"


def _copy(merged: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in merged.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
