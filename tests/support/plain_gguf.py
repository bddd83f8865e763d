"""A GGUF in 16 bits that is the same on every machine: its weights are whole numbers times a power of two."""

from pathlib import Path

import gguf
import numpy as np

LAYERS = 8
"""Enough for each rule that goes by layers to show."""


def write_plain_gguf(path: Path, *, hidden: int = 256, inner: int = 320, tied: bool = True) -> None:
    """Writes a Llama's tensors with random weights and the values that quantising looks at.

    With the default sizes some rows are multiples of 256 (k-quants) and some are not, as in small models.
    """
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("plain")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // 4)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([chr(0x100 + number) for number in range(96)])
    writer.add_token_types([1] * 96)
    writer.add_token_merges([])

    def add(name: str, rows: int, columns: int) -> None:
        weights = random.integers(-127, 128, (rows, columns)).astype(np.float16) / np.float16(1024)
        writer.add_tensor(f"{name}.weight", weights)

    add("token_embd", 96, hidden)
    if not tied:
        add("output", 96, hidden)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", np.ones(hidden, np.float32))
        add(f"{block}.attn_q", hidden, hidden)
        add(f"{block}.attn_k", hidden // 2, hidden)
        add(f"{block}.attn_v", hidden // 2, hidden)
        add(f"{block}.attn_output", hidden, hidden)
        add(f"{block}.ffn_gate", inner, hidden)
        add(f"{block}.ffn_up", inner, hidden)
        add(f"{block}.ffn_down", hidden, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
