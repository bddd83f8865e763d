"""Which type each tensor gets, against what llama.cpp reports of published models."""

from collections import Counter

import pytest
from libgguf import GGMLQuantizationType as Kind

from services.export.job.layout import Entry, Frame, Tensor
from services.export.job.quantizations import NAMES, QUANTIZATIONS, quantization
from services.export.job.quantizations.rules import types
from services.jobs.exits import BadConfiguration


def llama(
    layers: int, *, hidden: int, inner: int, heads: tuple[int, int] = (32, 8), tied: bool = False, experts: int = 0
) -> Frame:
    numbers = {
        "block_count": layers,
        "attention.head_count": heads[0],
        "attention.head_count_kv": heads[1],
        "expert_count": experts,
    }
    entries = (
        Entry("general.architecture", b"", "llama"),
        *(Entry(f"llama.{key}", b"", value) for key, value in numbers.items()),
    )
    shapes = {
        "attn_q": (hidden, hidden),
        "attn_k": (hidden, hidden // 4),
        "attn_v": (hidden, hidden // 4),
        "attn_output": (hidden, hidden),
        "ffn_gate": (hidden, inner),
        "ffn_up": (hidden, inner),
        "ffn_down": (inner, hidden),
    }
    tensors = [
        Tensor("token_embd.weight", (hidden, 32000), Kind.F16),
        Tensor("output_norm.weight", (hidden,), Kind.F32),
    ]
    if not tied:
        tensors.append(Tensor("output.weight", (hidden, 32000), Kind.F16))
    for layer in range(layers):
        tensors += [Tensor(f"blk.{layer}.{norm}.weight", (hidden,), Kind.F32) for norm in ("attn_norm", "ffn_norm")]
        tensors += [Tensor(f"blk.{layer}.{name}.weight", shape, Kind.F16) for name, shape in shapes.items()]
        if experts:
            tensors.append(Tensor(f"blk.{layer}.ffn_gate_inp.weight", (hidden, experts), Kind.F16))
    return Frame(entries, tuple(tensors))


SEVEN_B = llama(32, hidden=4096, inner=11008)
SEVENTY_B = llama(80, hidden=8192, inner=28672, heads=(64, 8))
SMOL = llama(30, hidden=576, inner=1536, heads=(9, 3), tied=True)


@pytest.mark.parametrize(
    ("frame", "name", "expected"),
    [
        # "llama_model_loader: - type q4_K: 193 tensors" and so on, as llama.cpp prints for these files.
        (SEVEN_B, "q4_0", {"f32": 65, "q4_0": 225, "q6_k": 1}),
        (SEVEN_B, "q4_k_s", {"f32": 65, "q4_k": 217, "q5_k": 8, "q6_k": 1}),
        (SEVEN_B, "q4_k_m", {"f32": 65, "q4_k": 193, "q6_k": 33}),
        (SEVEN_B, "q5_k_m", {"f32": 65, "q5_k": 193, "q6_k": 33}),
        (SEVEN_B, "q6_k", {"f32": 65, "q6_k": 226}),
        (SEVEN_B, "q8_0", {"f32": 65, "q8_0": 226}),
        (SEVENTY_B, "q4_k_m", {"f32": 161, "q4_k": 441, "q5_k": 40, "q6_k": 81}),
        # 576 columns are no multiple of 256: 180 of 272 tensors fall back.
        (SMOL, "q4_k_m", {"f32": 61, "q4_k": 16, "q5_0": 166, "q6_k": 14, "q8_0": 15}),
        (SMOL, "q8_0", {"f32": 61, "q8_0": 211}),
    ],
)
def test_types_are_those_of_published_files(frame: Frame, name: str, expected: dict[str, int]) -> None:
    assert Counter(kind.name.lower() for _, kind in types(quantization(name), frame)) == expected


def test_layers_with_more_bits_are_those_of_llama_cpp() -> None:
    chosen = {tensor.name: kind for tensor, kind in types(quantization("q4_k_m"), SEVEN_B)}
    more = {layer for layer in range(32) if chosen[f"blk.{layer}.ffn_down.weight"] == Kind.Q6_K}
    assert more == {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}
    assert more == {layer for layer in range(32) if chosen[f"blk.{layer}.attn_v.weight"] == Kind.Q6_K}


def test_of_eight_experts_attention_gets_more_bits_and_the_router_keeps_its_own() -> None:
    chosen = {t.name: kind for t, kind in types(quantization("q4_k_m"), llama(2, hidden=512, inner=1024, experts=8))}
    names = ("attn_k", "attn_v", "attn_output", "attn_q", "ffn_gate_inp")
    expected = [Kind.Q8_0, Kind.Q8_0, Kind.Q5_K, Kind.Q4_K, Kind.F16]
    assert [chosen[f"blk.0.{name}.weight"] for name in names] == expected


@pytest.mark.parametrize(("columns", "expected"), [(512, Kind.Q4_K), (576, Kind.Q5_0), (100, Kind.F16)])
def test_rows_that_do_not_fit_fall_back(columns: int, expected: Kind) -> None:
    frame = Frame(
        (Entry("general.architecture", b"", "llama"),), (Tensor("blk.0.attn_q.weight", (columns, 8), Kind.F16),)
    )
    assert [kind for _, kind in types(quantization("q4_k_m"), frame)] == [expected]


def test_tensors_come_by_layer_not_by_letter() -> None:
    names = [tensor.name for tensor, _ in types(quantization("q8_0"), llama(11, hidden=256, inner=512))]
    assert names[:3] == ["output.weight", "output_norm.weight", "token_embd.weight"]
    assert [name.split(".")[1] for name in names[3::9]] == [str(layer) for layer in range(11)]


def test_an_architecture_with_other_rules_is_refused() -> None:
    frame = Frame((Entry("general.architecture", b"", "falcon"),), ())
    with pytest.raises(BadConfiguration, match="falcon") as failure:
        list(types(quantization("q4_k_m"), frame))
    assert failure.value.reason == "BAD_MODEL"


def test_an_unknown_name_tells_the_choices() -> None:
    with pytest.raises(BadConfiguration, match=r"'q4_k_l'; there are f16, q4_0, .*q4_k_m") as failure:
        quantization("q4_k_l")
    assert failure.value.reason == "BAD_QUANTISATION"
    assert failure.value.metadata["choices"].split(", ") == list(NAMES)


def test_names_and_file_types_are_each_there_once() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(QUANTIZATIONS) + 1
    assert len({row.file_type for row in QUANTIZATIONS}) == len(QUANTIZATIONS)
