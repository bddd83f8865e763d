"""The base model with its adapters: the one place where a GPU and a CPU differ.

On a GPU unsloth holds the base in 4 bits (QLoRA); on a CPU, PEFT trains the same adapters (LoRA) on the same layers
of the base in 16 bits. Everything after is one code.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from services.jobs.exits import BadConfiguration
from services.train.job.config import TrainingConfig

FILES = ("config.json", "tokenizer_config.json")
"""What a base model's folder must hold, beside safetensors and a tokenizer."""

_MEMORY_TOKENS = 2048  # of a device's step; beyond, activations are computed twice rather than kept


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What the arithmetic runs on."""

    gpu: bool
    dtype: torch.dtype
    """Of the base model's arithmetic. The adapters are kept in 32 bits: steps of 0.0002 vanish in 16."""

    @property
    def name(self) -> str:
        """`gpu` or `cpu`."""
        return "gpu" if self.gpu else "cpu"


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model that is ready to be trained."""

    model: Any
    """A PeftModel."""
    tokenizer: Any
    checkpointing: bool
    """Whether the trainer turns gradient checkpointing on (unsloth has done so itself)."""


def accelerator() -> Accelerator:
    """Finds out what there is to compute on.

    On a CPU bfloat16 is taken where the processor multiplies it (AVX512-BF16 or AMX), since SmolLM2-135M then takes
    two thirds of the time and memory of 32 bits; elsewhere it is emulated, several times slower. One kind of CPU
    always answers the same, as digests need.
    """
    if torch.cuda.is_available():
        return Accelerator(True, torch.bfloat16)
    cpu = torch.cpu
    native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()  # no public way to ask
    return Accelerator(False, torch.bfloat16 if native else torch.float32)


def check_folder(folder: Path, config: TrainingConfig) -> None:
    """Checks a base model by its small files, before its weights are read.

    Raises:
        BadConfiguration: `BAD_MODEL`, `BAD_HYPERPARAMETER`.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise _bad(f"there is no {name} in it")
    if not any(folder.glob("*.safetensors")):
        raise _bad("there are no *.safetensors in it")
    try:
        described = json.loads((folder / "config.json").read_bytes())
        model_type = described["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise _bad("its config.json names no model_type") from error
    if "auto_map" in described:
        raise _bad(f"it ({model_type!r}) needs code of its own, which is not run")
    if "quantization_config" in described:
        raise _bad("its weights are quantised: take the 16-bit model that they were made from")
    text = described.get("text_config", described)
    config.check_model(text.get("max_position_embeddings"), text.get("hidden_size"))


def load(folder: Path, config: TrainingConfig, on: Accelerator) -> Trainee:
    """Loads base model and tokenizer and adds fresh adapters to all linear layers.

    Args:
        folder: the base model, checked.
        config: how to train.
        on: what to compute on.

    Raises:
        BadConfiguration: `BAD_MODEL`, `BAD_HYPERPARAMETER`.
        torch.OutOfMemoryError: the GPU is too small.
    """
    quantised = config.quantised(on.gpu)
    trainee = _load_on_gpu(folder, config, quantised) if on.gpu else _load_on_cpu(folder, config, on)
    tokenizer, rows = trainee.tokenizer, trainee.model.get_input_embeddings().weight.shape[0]
    if tokenizer.eos_token_id is None:
        raise _bad("its tokenizer names no token that ends a text (eos_token)")
    if max(tokenizer.get_vocab().values()) >= rows:
        raise _bad(f"its tokenizer has ids up to {max(tokenizer.get_vocab().values())}, its embeddings {rows} rows")
    return trainee


def linear_layers(model: Any) -> list[str]:
    """Names the linear layers that get adapters: all but the output head, by the last part of their names, sorted."""
    head = model.get_output_embeddings()
    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    if not names:
        raise _bad(f"{type(model).__name__} has no linear layers to adapt")
    return sorted(names)


def adapters_off(model: Any) -> AbstractContextManager[None]:
    """Gives a context in which a model computes as its base."""
    off: AbstractContextManager[None] = model.disable_adapter()
    return off


def cast_to_adapters(model: Any, cast: bool) -> None:
    """Sets whether the adapters' inputs are turned into the adapters' 32 bits.

    Under autocast, which training is in on a CPU, they would be turned back at every use.
    Outside of it, they must be.
    """
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = cast


def lora_arguments(config: TrainingConfig, layers: list[str]) -> dict[str, Any]:
    """Gives what unsloth's and PEFT's adapters have in common."""
    return {
        "r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": layers,
        "bias": "none",
    }


def _load_on_cpu(folder: Path, config: TrainingConfig, on: Accelerator) -> Trainee:
    # Imported here for the sake of a GPU, where unsloth must come first.
    from peft import LoraConfig, get_peft_model
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        loader: Any = AutoModelForCausalLM  # its types do not know of the second value
        base, loading = loader.from_pretrained(
            folder,
            dtype=on.dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _bad(f"transformers cannot load it: {error}") from error
    if loading["missing_keys"]:
        # transformers would put random numbers there.
        raise _bad(f"its weights lack {', '.join(sorted(loading['missing_keys'])[:3])}")
    torch.manual_seed(config.seed)  # the adapters' start is drawn here
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora_arguments(config, linear_layers(base))))
    return Trainee(model, tokenizer, config.batch_size * config.context_length > _MEMORY_TOKENS)


def _load_on_gpu(folder: Path, config: TrainingConfig, quantised: bool) -> Trainee:
    # Imported here since it needs a GPU, and before anything of transformers, which it patches.
    from unsloth import FastLanguageModel

    base, tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=config.context_length,
        dtype=torch.bfloat16,
        load_in_4bit=quantised,
        local_files_only=True,
        trust_remote_code=False,
    )
    model = FastLanguageModel.get_peft_model(
        base,
        **lora_arguments(config, linear_layers(base)),
        max_seq_length=config.context_length,
        use_gradient_checkpointing="unsloth",
        random_state=config.seed,
    )
    return Trainee(model, tokenizer, checkpointing=False)


def _bad(what: str) -> BadConfiguration:
    return BadConfiguration("BAD_MODEL", f"the base model cannot be trained: {what}", field="base_model")
