"""What a training would take, from the sizes of its inputs."""

import math
from dataclasses import dataclass

from bookmill.v1.train_pb2 import Hyperparameters

_OVERHEAD_SHARE = 0.2  # of disk: what is written while the old is still there
_CHECKPOINT_EXTRA = 1 << 20  # schedule, random state, configuration
_CPU_BASE = 1 << 30  # the interpreter with torch, transformers and TRL
_GPU_BASE = 1536 << 20  # CUDA's context, its libraries' workspaces and Triton's kernels
_KEPT_TOKENS = 2048  # of a device's step; above, activations are computed twice rather than kept
# Bytes of a transformer layer's activations for each token and value of its width, without the attention's scores
# (Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models").
_ACTIVATION_BYTES = 34
# Of a logit. On a CPU in 32 bits, with its gradient and the softmax between; on a GPU unsloth turns 16-bit logits into
# their gradient in place.
_LOGIT_BYTES = {"cpu": 12, "gpu": 4}
# Operations a parameter and token: 2 forward, 2 backward to the activations, 2 forward again where they were not kept.
_OPERATIONS = 6


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A base model as its files' headers describe it."""

    parameters: int
    """All of them."""
    adapted: tuple[tuple[int, int], ...]
    """Outputs and inputs of each linear layer that gets an adapter."""
    width: int
    """Of the hidden layers; 0 when the configuration does not say."""
    layers: int
    """Blocks, 0 when unknown."""
    vocabulary: int
    """Rows of the embedding, 0 when unknown."""
    size: int
    """Bytes of all files."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The training split as its file's metadata describes it."""

    text_bytes: int
    """Of all texts in UTF-8."""
    sample_bytes: int
    """Of those texts that were tokenised."""
    sample_tokens: int
    """Their tokens."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training would take."""

    tokens: int
    """Of one pass."""
    steps: int
    """Optimiser steps."""
    parameters: int
    trainable_parameters: int
    memory_bytes: int
    """Of the GPU, or of the process on a CPU."""
    disk_bytes: int
    """Of the job's machine."""
    seconds: float | None
    """None when the hardware's speed is not known."""


def estimate(
    model: ModelFacts, data: DataFacts, options: Hyperparameters, gpu: bool, operations_per_second: float | None
) -> Estimate:
    """Estimates a training.

    Args:
        model: the base model.
        data: the training split.
        options: complete hyper-parameters.
        gpu: whether it runs on a GPU.
        operations_per_second: of the hardware in such trainings, as measured; None when unknown.
    """
    tokens = round(data.text_bytes * data.sample_tokens / data.sample_bytes) if data.sample_bytes else 0
    step_tokens = options.context_length * options.batch_size * options.gradient_accumulation
    # As the trainer counts: whole optimiser steps of a pass, then passes.
    steps = math.ceil(options.epochs * max(1, math.ceil(tokens / step_tokens)))
    if options.max_steps:
        steps = min(steps, options.max_steps)
    trainable = _trainable(model, options)
    seen = min(steps * step_tokens, math.ceil(options.epochs * tokens))
    seconds = _OPERATIONS * model.parameters * seen / operations_per_second if operations_per_second else None
    return Estimate(
        tokens=tokens,
        steps=steps,
        parameters=model.parameters,
        trainable_parameters=trainable,
        memory_bytes=_memory(model, options, trainable, gpu),
        disk_bytes=disk_bytes(model, options),
        seconds=seconds,
    )


def disk_bytes(model: ModelFacts, options: Hyperparameters) -> int:
    """Gives the disk that a training takes beside its data: base model, two checkpoints, and a fifth."""
    checkpoint = 12 * _trainable(model, options) + _CHECKPOINT_EXTRA  # 4 bytes of weight and 8 of Adam's moments
    return math.ceil((model.size + 2 * checkpoint) * (1 + _OVERHEAD_SHARE))


def _trainable(model: ModelFacts, options: Hyperparameters) -> int:
    return sum(options.lora_rank * (outputs + inputs) for outputs, inputs in model.adapted)


def _memory(model: ModelFacts, options: Hyperparameters, trainable: int, gpu: bool) -> int:
    if gpu and options.precision != "16bit":
        linear = sum(outputs * inputs for outputs, inputs in model.adapted)
        # nf4: half a byte, and a 32-bit scale for each 64 values, itself in 8 bits.
        weights = round(linear * 0.5635) + 2 * (model.parameters - linear)
    else:
        weights = (2 if gpu else 4) * model.parameters  # a CPU without bfloat16 works in 32 bits
    # In 32 bits the adapter, its gradient and Adam's two moments; the moments are in 8 bits on a GPU.
    adapters = (8 + (2 if gpu else 8)) * trainable
    tokens = options.context_length * options.batch_size
    layer = _ACTIVATION_BYTES * model.width * tokens
    kept = (
        layer * model.layers if not gpu and tokens <= _KEPT_TOKENS else layer + 2 * model.width * tokens * model.layers
    )
    logits = _LOGIT_BYTES["gpu" if gpu else "cpu"] * model.vocabulary * tokens
    return (_GPU_BASE if gpu else _CPU_BASE) + weights + adapters + kept + logits
