"""Perplexities and samples of models that transformers runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from services.evaluation.perplexity import Perplexity, perplexity
from services.evaluation.sampling import sample
from services.export.job.bench import Bench
from services.export.job.config import Plan
from services.export.job.merging import load_base

FULL_PRECISION_PARAMETERS = 2_000_000_000
"""Models up to this size compute in 32 bits when they are measured (8 GB). bfloat16 alone moves a perplexity by 0.2 %,
as much as a real fault may; larger models are measured in it all the same, so that memory holds them, and need wider
bounds. Not in float16, which the activations of some models do not fit."""

_BYTES_A_PARAMETER = 2  # of a folder in 16 bits


def load_to_measure(folder: Path) -> Any:
    """Loads a model in the precision that it is measured in, which depends on its size alone.

    Raises:
        BadConfiguration: `BAD_MODEL`.
    """
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    small = size <= FULL_PRECISION_PARAMETERS * _BYTES_A_PARAMETER
    return load_base(folder, torch.float32 if small else torch.bfloat16)


def measure(subject: str, model: Any, text: Mapping[str, Any], bench: Bench) -> Perplexity:
    """Measures a model on the held-out text.

    Args:
        subject: what it is, for progress.
        model: the model.
        text: of `Bench.held_out`.
        bench: is told the progress.

    Raises:
        Interrupted: the job was asked to stop.
    """

    def on_window(done: int, total: int) -> None:
        bench.report(f"measuring {subject}", done, total, "tokens")

    return perplexity(model, text["tokens"], text["window"], text["start"], on_window)


def complete(subject: str, model: Any, tokenizer: Any, plan: Plan, bench: Bench) -> list[str]:
    """Continues each prompt of the export.

    Raises:
        Interrupted: the job was asked to stop.
    """
    samples = []
    for number, prompt in enumerate(plan.prompts):
        bench.report(f"sampling {subject}", number, len(plan.prompts), "samples")
        samples += sample(model, tokenizer, [prompt], plan.sampling)
    return samples
