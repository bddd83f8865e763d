"""Which type each tensor of a model gets, as llama.cpp decides it (`src/llama-quant.cpp`).

A quantisation is named after the type of most tensors. Attention's value and the feed-forward's second matrix feel
rounding most and get more bits in some layers; the output matrix, which is the embedding's too in a model that ties
them, gets more everywhere; norms and other small tensors stay as they are.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from libgguf import GGML_QUANT_SIZES
from libgguf import GGMLQuantizationType as Kind

from services.export.job.layout import Frame, Tensor
from services.jobs.exits import BadConfiguration

Rule = Callable[[int, int], Kind | None]
"""Layer and number of layers → the type there, None for the usual one."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """One row of the table."""

    name: str
    """As users and Ollama call it."""
    file_type: int
    """`general.file_type` of such a file (`llama_ftype` in llama.h)."""
    usual: Kind
    """Type of most tensors."""
    value: Rule = field(default=lambda *_: None)
    """Types of attention's value matrices."""
    down: Rule = field(default=lambda *_: None)
    """Types of the feed-forward's second matrices."""


def first_layers(count: int, kind: Kind) -> Rule:
    """Makes the rule that gives `kind` to the first layers."""
    return lambda layer, _: kind if layer < count else None


def first_eighth(kind: Kind) -> Rule:
    """Makes the rule that gives `kind` to the first eighth of the layers."""
    return lambda layer, layers: kind if layer < layers // 8 else None


def some_layers(kind: Kind) -> Rule:
    """Makes the rule that gives `kind` to the first and last eighth, and each third between (`use_more_bits`)."""

    def rule(layer: int, layers: int) -> Kind | None:
        eighth = layers // 8
        outer = layer < eighth or layer >= 7 * layers // 8
        return kind if outer or (layer - eighth) % 3 == 2 else None

    return rule


def types(quantization: Quantization, frame: Frame) -> Iterator[tuple[Tensor, Kind]]:
    """Gives each tensor and its type, in the order in which llama.cpp writes them: by layer, then by name.

    Raises:
        BadConfiguration: `BAD_MODEL`: of this architecture llama.cpp's rules are others.
    """
    if frame.value("general.architecture") in _OTHER_RULES:
        raise BadConfiguration("BAD_MODEL", f"quantising {frame.value('general.architecture')!r} is not supported")
    tensors = sorted(frame.tensors, key=lambda tensor: (_layer(tensor), tensor.name))
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    values = sum(_is_value(tensor) for tensor in tensors)
    seen_values = seen_downs = 0
    for tensor in tensors:
        if not _quantised(tensor):
            yield tensor, tensor.kind
            continue
        kind = quantization.usual
        if tensor.name == "output.weight" or (tied and tensor.name in _EMBEDDINGS):
            kind = _output(kind, tensor)
        elif _is_value(tensor):
            kind = _value(quantization.value(seen_values, values) or kind, frame)
            seen_values += 1
        elif "attn_k.weight" in tensor.name and frame.count("expert_count") == _MIXTRAL:
            kind = Kind.Q8_0
        elif "ffn_down" in tensor.name:
            layer = _layer(tensor) if frame.count("expert_count") > 1 else seen_downs
            kind = quantization.down(layer, frame.count("block_count")) or kind
            seen_downs += 1
        elif "attn_output.weight" in tensor.name and frame.count("expert_count") == _MIXTRAL and kind == Kind.Q4_K:
            kind = Kind.Q5_K
        yield tensor, _fitting(kind, tensor)


_OTHER_RULES = ("falcon",)
_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_MIXTRAL = 8  # experts of Mixtral: its attention is small beside them, so it gets more bits

_VALUES = ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")
"""Parts of names of attention's value matrices, alone or joined with others."""

_KEPT = (
    *("_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj"),
    *("ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "attn_rel_b.weight"),
    *("time_mix_first.weight", "time_mix_lerp_fused.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight"),
    *(f"time_mix_{name}.weight" for name in ("w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2")),
    *(".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger"),
    *("a.rvq.codebook", "mm.a.code_embd"),
)
"""Parts of names of matrices that are small, or feel rounding too much, and stay as they are."""

_KEPT_NAMES = ("position_embd.weight", "token_types.weight")

_NARROWER = {Kind.Q4_K: Kind.Q5_0, Kind.Q5_K: Kind.Q5_1, Kind.Q6_K: Kind.Q8_0}
"""What rows get that are no multiple of 256: blocks of 32."""

_BLOCK = re.compile(r"blk\.(\d+)\.")  # the layer in a tensor's name


def _layer(tensor: Tensor) -> int:
    match = _BLOCK.match(tensor.name)
    return int(match[1]) if match else -1


def _is_value(tensor: Tensor) -> bool:
    return any(part in tensor.name for part in _VALUES)


def _quantised(tensor: Tensor) -> bool:
    matrix = sum(length > 1 for length in tensor.shape[1:]) > 0
    kept = tensor.name in _KEPT_NAMES or any(part in tensor.name for part in _KEPT)
    return matrix and tensor.name.endswith("weight") and not kept


def _output(usual: Kind, tensor: Tensor) -> Kind:
    fits = tensor.shape[0] % GGML_QUANT_SIZES[usual][0] == 0
    return Kind.Q6_K if fits and usual != Kind.Q8_0 else Kind.Q8_0


def _value(kind: Kind, frame: Frame) -> Kind:
    if frame.count("expert_count") == _MIXTRAL:
        return Kind.Q8_0
    # Llama 2 and 3 of 70 B: eight heads share a value, so it is an eighth of the size, and more bits cost little.
    shared = frame.count("attention.head_count") != frame.count("attention.head_count_kv")
    large = frame.value("general.architecture") == "llama" and frame.count("block_count") == 80 and shared
    return Kind.Q5_K if large and kind == Kind.Q4_K else kind


def _fitting(kind: Kind, tensor: Tensor) -> Kind:
    for candidate in (kind, _NARROWER.get(kind, kind)):
        if tensor.shape[0] % GGML_QUANT_SIZES[candidate][0] == 0:
            return candidate
    return Kind.F16
