"""Which files of a model's folder are brought in, and which models are declined, each with what to do instead."""

import re
from collections.abc import Collection
from typing import Any

from services.common.errors import Refused

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
"""Read for the licence, not brought in."""

_TOKENIZERS = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tekken.json",),
)
"""What makes a tokenizer, alone or together."""

_SMALL = frozenset(
    {CONFIG, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
    | {name for names in _TOKENIZERS for name in names}
)

_PICKLES = re.compile(
    r".*\.(bin|pt|pth|ckpt|pkl|h5|msgpack)"
)  # weights in forms that may run code or need another loader
_GGUF = re.compile(r".*\.gguf")  # weights for llama.cpp, nearly always quantised

# How quantised models are named by those who publish them: `-bnb-4bit`, `-unsloth-bnb-4bit`, `-GPTQ-Int4`, `-AWQ`,
# `-FP8`, `-4bit` (MLX), `-GGUF`. What is before is the name of the 16-bit model.
_QUANTISED = re.compile(
    r"(?i)(?P<name>.+?)(?:-unsloth)?-(?:bnb-[48]bit|gptq(?:-int[348])?|awq(?:-int4)?|gguf|fp8(?:-dynamic)?|[48]bit|int[48])"
)


def is_wanted(name: str) -> bool:
    """Says whether a file of this name could be brought in: config, tokenizer, safetensors."""
    return name in _SMALL or name == INDEX or name.endswith(".safetensors")


def check_name(repository: str) -> None:
    """Raises Refused ALREADY_QUANTISED for a model whose name says so; its 16-bit id is named."""
    if match := _QUANTISED.fullmatch(repository):
        raise _quantised(f"{repository!r} is a quantised model by its name", match["name"])


def choose(names: Collection[str], what: str) -> tuple[str, ...]:
    """Returns the files to bring in, the shards of an index not yet among them, sorted.

    Raises Refused INCOMPLETE_MODEL or ONLY_PICKLES. `what` names the model in the message.
    """
    if "adapter_config.json" in names and CONFIG not in names:
        raise Refused("INCOMPLETE_MODEL", f"{what} is an adapter; give the base model that it was trained on")
    if CONFIG not in names:
        raise Refused("INCOMPLETE_MODEL", f"{what} has no {CONFIG}; it is no model in Hugging Face's format")
    if INDEX not in names and WEIGHTS not in names:
        raise _without_weights(names, what)
    if not any(names_of.issubset(names) for names_of in map(set, _TOKENIZERS)):
        raise Refused(
            "INCOMPLETE_MODEL", f"{what} has no tokenizer; put tokenizer.json (or tokenizer.model) beside {CONFIG}"
        )
    weights = INDEX if INDEX in names else WEIGHTS
    return tuple(sorted({weights, *_SMALL.intersection(names)}))


def shards(index: Any, names: Collection[str], what: str) -> tuple[str, ...]:
    """Returns the files that an index names. Raises Refused INCOMPLETE_MODEL where one is not there."""
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise Refused("INCOMPLETE_MODEL", f"{what}: {INDEX} has no weight_map")
    files = sorted({str(file) for file in weight_map.values()})
    missing = [file for file in files if file not in names or not file.endswith(".safetensors")]
    if missing:
        raise Refused("INCOMPLETE_MODEL", f"{what} lacks {', '.join(map(repr, missing[:5]))}, which {INDEX} names")
    return tuple(files)


def check_config(config: Any, what: str, repository: str = "") -> str:
    """Returns the architecture (`model_type`) that a config names.

    Raises Refused ALREADY_QUANTISED where it has a `quantization_config`, INCOMPLETE_MODEL where it names none.
    """
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise Refused("INCOMPLETE_MODEL", f"{what}: {CONFIG} has no model_type")
    quantization = config.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method", "unknown") if isinstance(quantization, dict) else quantization
        origin = config.get("_name_or_path")
        name = (
            origin
            if isinstance(origin, str) and "/" in origin and origin != repository and origin[0] not in "/."
            else ""
        )
        raise _quantised(f"{what} is quantised already ({method}, says its {CONFIG})", name)
    return str(config["model_type"])


def _without_weights(names: Collection[str], what: str) -> Refused:
    if any(map(_PICKLES.fullmatch, names)):
        return Refused(
            "ONLY_PICKLES",
            f"{what} has its weights as pickles alone, which may run code when loaded; take a revision with "
            "safetensors, or convert it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…) writes them",
        )
    if any(map(_GGUF.fullmatch, names)):
        return Refused("ALREADY_QUANTISED", f"{what} has GGUF files alone; give the model that they were made from")
    return Refused("INCOMPLETE_MODEL", f"{what} has neither {WEIGHTS} nor {INDEX}")


def _quantised(what: str, original: str) -> Refused:
    # A derived name may be quantised in its turn (`x-AWQ-4bit`).
    while match := _QUANTISED.fullmatch(original):
        original = match["name"]
    metadata = {"choices": f"hf:{original}"} if original else {}
    remedy = f"give the 16-bit model, hf:{original}" if original else "give the 16-bit model that it was made from"
    return Refused("ALREADY_QUANTISED", f"{what}; an adapter is merged into 16-bit weights: {remedy}", **metadata)
