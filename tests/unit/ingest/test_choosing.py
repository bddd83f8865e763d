from typing import Any

import pytest

from services.common.errors import Refused
from services.ingest.choosing import check_config, check_name, choose, is_wanted, shards

LLAMA = {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (LLAMA, LLAMA),
        (LLAMA | {"README.md", ".gitattributes", "model.py", "training_args.bin", "flax_model.msgpack"}, LLAMA),
        (
            LLAMA | {"generation_config.json", "special_tokens_map.json"},
            LLAMA | {"generation_config.json", "special_tokens_map.json"},
        ),
        (LLAMA | {"adapter_model.safetensors", "consolidated.safetensors"}, LLAMA),
        (LLAMA | {"pytorch_model.bin"}, LLAMA),
        (
            {
                "config.json",
                "vocab.json",
                "merges.txt",
                "model.safetensors.index.json",
                "model-00001-of-00001.safetensors",
            },
            {"config.json", "vocab.json", "merges.txt", "model.safetensors.index.json"},
        ),
        (
            {"config.json", "tokenizer.model", "model.safetensors"},
            {"config.json", "tokenizer.model", "model.safetensors"},
        ),
    ],
)
def test_config_tokenizer_and_weights_are_brought_and_nothing_else(names: set[str], expected: set[str]) -> None:
    assert set(choose(names, "m")) == expected
    assert list(choose(names, "m")) == sorted(expected)


@pytest.mark.parametrize(
    ("names", "reason", "says"),
    [
        ({"config.json", "tokenizer.json", "pytorch_model.bin"}, "ONLY_PICKLES", "save_pretrained"),
        ({"config.json", "tokenizer.json", "pytorch_model-00001-of-00002.bin"}, "ONLY_PICKLES", "safetensors"),
        ({"config.json", "tokenizer.json", "model.Q4_K_M.gguf"}, "ALREADY_QUANTISED", "made from"),
        ({"config.json", "tokenizer.json"}, "INCOMPLETE_MODEL", "model.safetensors"),
        ({"config.json", "model.safetensors"}, "INCOMPLETE_MODEL", "tokenizer.json"),
        ({"config.json", "model.safetensors", "vocab.json"}, "INCOMPLETE_MODEL", "no tokenizer"),
        ({"tokenizer.json", "model.safetensors"}, "INCOMPLETE_MODEL", "config.json"),
        ({"adapter_config.json", "adapter_model.safetensors"}, "INCOMPLETE_MODEL", "adapter"),
        (set(), "INCOMPLETE_MODEL", "config.json"),
    ],
)
def test_another_folder_is_declined_with_what_to_do(names: set[str], reason: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        choose(names, "hf:a/b@c")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("repository", "original"),
    [
        ("unsloth/Llama-3.2-1B-bnb-4bit", "unsloth/Llama-3.2-1B"),
        ("unsloth/Llama-3.2-1B-unsloth-bnb-4bit", "unsloth/Llama-3.2-1B"),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", "unsloth/Llama-3.2-1B-Instruct"),
        ("TheBloke/Mistral-7B-v0.1-GPTQ", "TheBloke/Mistral-7B-v0.1"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct"),
        ("mlx-community/SmolLM2-135M-8bit", "mlx-community/SmolLM2-135M"),
        ("a/b-GGUF", "a/b"),
        ("a/b-FP8-dynamic", "a/b"),
        ("a/b-AWQ-4bit", "a/b"),
    ],
)
def test_a_quantised_model_is_declined_by_its_name_and_the_16_bit_one_named(repository: str, original: str) -> None:
    with pytest.raises(Refused, match=f"hf:{original} \\[") as caught:
        check_name(repository)
    assert caught.value.reason == "ALREADY_QUANTISED"
    assert caught.value.metadata == {"choices": f"hf:{original}"}


@pytest.mark.parametrize(
    "repository", ["HuggingFaceTB/SmolLM2-135M", "a/bnb-4bit-lessons", "a/4bit", "bnb-4bit/b", "a/gptqueen"]
)
def test_another_name_is_no_reason(repository: str) -> None:
    check_name(repository)


@pytest.mark.parametrize(
    ("config", "reason", "says"),
    [
        (
            {"model_type": "llama", "quantization_config": {"quant_method": "bitsandbytes"}},
            "ALREADY_QUANTISED",
            "bitsandbytes",
        ),
        (
            {"model_type": "llama", "quantization_config": {"bits": 4}, "_name_or_path": "a/b"},
            "ALREADY_QUANTISED",
            "hf:a/b \\[",
        ),
        (
            {"model_type": "llama", "quantization_config": {"bits": 4}, "_name_or_path": "me/it"},
            "ALREADY_QUANTISED",
            "made from \\[",
        ),
        (
            {"model_type": "llama", "quantization_config": {"bits": 4}, "_name_or_path": "/home/x/y"},
            "ALREADY_QUANTISED",
            "made from \\[",
        ),
        ({"quantization_config": None}, "INCOMPLETE_MODEL", "model_type"),
        ([], "INCOMPLETE_MODEL", "model_type"),
    ],
)
def test_a_config_is_checked(config: Any, reason: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        check_config(config, "hf:me/it@c", "me/it")
    assert caught.value.reason == reason


def test_a_config_names_the_architecture() -> None:
    assert check_config({"model_type": "llama", "quantization_config": None}, "m") == "llama"


def test_an_index_names_its_shards() -> None:
    index = {"weight_map": {"a": "two.safetensors", "b": "one.safetensors", "c": "one.safetensors"}}
    assert shards(index, {"one.safetensors", "two.safetensors"}, "m") == ("one.safetensors", "two.safetensors")


@pytest.mark.parametrize(
    "index", [{}, [], {"weight_map": {}}, {"weight_map": {"a": "gone.safetensors"}}, {"weight_map": {"a": "w.bin"}}]
)
def test_an_index_without_its_shards_is_declined(index: Any) -> None:
    with pytest.raises(Refused) as caught:
        shards(index, {"one.safetensors", "w.bin"}, "m")
    assert caught.value.reason == "INCOMPLETE_MODEL"


def test_what_could_be_brought_in() -> None:
    assert all(map(is_wanted, LLAMA | {"model-00001-of-00002.safetensors", "tokenizer_config.json"}))
    assert not any(map(is_wanted, ["modeling.py", "pytorch_model.bin", "README.md", "safetensors", "config.json.bak"]))
