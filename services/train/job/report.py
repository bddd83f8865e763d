"""The training's report: what anyone needs to judge it or do it again. No times and no paths: it is the same again."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bookmill.v1 import train_pb2
from services.common.canonical import JSON
from services.evaluation.perplexity import Perplexity
from services.train.job.config import TrainingConfig
from services.train.job.data import TrainingData
from services.train.job.training import Trained

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "unsloth", "bitsandbytes")
"""Whose versions can change the result."""

_LAST = 10  # steps that the final loss is a mean of: one step's is noise


def report(
    spec: train_pb2.TrainingSpec,
    config: TrainingConfig,
    how: dict[str, JSON],
    data: TrainingData,
    trained: Trained,
    perplexities: dict[str, Perplexity],
) -> dict[str, JSON]:
    """Makes the report, canonical JSON for the store.

    Args:
        spec: what was asked.
        config: its hyper-parameters.
        how: what decided the bytes beside them: accelerator, arithmetic, threads.
        data: what was trained on.
        trained: what the training did.
        perplexities: `before` and `after`, or none.
    """
    measured: dict[str, Any] = {name: {"value": p.value, "tokens": p.tokens} for name, p in perplexities.items()}
    return {
        "dataset": spec.dataset.sha256,
        "base_model": spec.base_model.sha256,
        "hyperparameters": asdict(config),
        "how": how,
        "versions": versions(),
        "data": {"books": data.books, "tokens": data.tokens, "sequences": len(data.sequences)},
        "steps": trained.steps,
        "tokens": trained.tokens,
        "final_loss": final_loss(trained),
        "loss": trained.curve,
        "perplexity": measured,
    }


def final_loss(trained: Trained) -> float:
    """Gives the mean loss of the last ten steps."""
    last = [point["loss"] for point in trained.curve[-_LAST:]]
    return sum(last) / len(last)


def versions() -> dict[str, JSON]:
    """Gives the versions of what computed the result."""
    found: dict[str, JSON] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
