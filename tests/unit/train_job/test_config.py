"""Values that a training cannot be told."""

import math
import subprocess
import sys

import pytest

from bookmill.v1 import train_pb2
from services.jobs.exits import BadConfiguration
from services.train.job.config import TrainingConfig
from tests.support.training import ROOT, hyperparameters


def config(**changes: float | str) -> TrainingConfig:
    return TrainingConfig.from_proto(hyperparameters(**changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lora_rank", 0),
        ("lora_rank", 1025),
        ("lora_alpha", -1),
        ("lora_dropout", 1.0),
        ("lora_dropout", -0.1),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", 2.0),
        ("warmup_steps", 0),  # would mean the default
        ("warmup_steps", -2),
        ("weight_decay", 0.0),
        ("weight_decay", 1.5),
        ("epochs", 0.0),
        ("epochs", -1.0),
        ("max_steps", -1),
        ("context_length", 8),
        ("batch_size", 0),
        ("gradient_accumulation", 0),
        ("seed", 0),
        ("seed", 2**32),
        ("checkpoint_steps", 0),
        ("precision", ""),
        ("precision", "8bit"),
        ("evaluation_tokens", 1),
    ],
)
def test_a_wrong_value_is_named_with_its_choices(field: str, value: float | str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        config(**{field: value})
    error = refused.value
    assert error.reason == "BAD_HYPERPARAMETER"
    assert error.metadata["field"] == field
    assert error.metadata["value"] == repr(value)
    assert error.metadata["choices"]
    assert field in error.message
    assert repr(value) in error.message


def test_the_defaults_of_the_service_are_accepted() -> None:
    message = train_pb2.Hyperparameters(
        lora_rank=16,
        lora_alpha=16,
        learning_rate=2e-4,
        warmup_steps=5,
        weight_decay=0.01,
        epochs=1,
        context_length=2048,
        batch_size=2,
        gradient_accumulation=4,
        seed=3407,
        checkpoint_steps=50,
        precision="auto",
        evaluation_tokens=20_000,
    )
    assert TrainingConfig.from_proto(message).learning_rate == 2e-4


def test_minus_one_is_none() -> None:
    assert config(warmup_steps=-1).warmup_steps == 0
    assert config(weight_decay=-1.0).weight_decay == 0.0


def test_a_device_step_is_bounded_by_batch_and_context_together() -> None:
    config(context_length=1 << 20, batch_size=1)
    with pytest.raises(BadConfiguration, match=r"batch_size is 2; it can be 1 at the most .* gradient_accumulation"):
        config(context_length=1 << 20, batch_size=2)


@pytest.mark.parametrize(("steps", "expected"), [(1, 0), (2, 1), (9, 4), (10, 5), (1000, 5)])
def test_a_short_training_warms_up_for_half_of_it(steps: int, expected: int) -> None:
    assert config(warmup_steps=5).warmup(steps) == expected


@pytest.mark.parametrize(
    ("precision", "gpu", "quantised"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("4bit", True, True),
        ("16bit", True, False),
        ("16bit", False, False),
    ],
)
def test_precision_depends_on_the_machine(precision: str, gpu: bool, quantised: bool) -> None:
    assert config(precision=precision).quantised(gpu) is quantised


def test_4bit_without_a_gpu_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="precision is '4bit'; it can be auto or 16bit on this machine"):
        config(precision="4bit").quantised(gpu=False)


@pytest.mark.parametrize(
    ("positions", "width", "field"),
    [(63, 64, "context_length"), (64, 3, "lora_rank"), (64, 64, None), (None, None, None)],
)
def test_the_base_model_sets_limits(positions: int | None, width: int | None, field: str | None) -> None:
    checked = config(context_length=64, lora_rank=4)
    if field is None:
        checked.check_model(positions, width)
        return
    with pytest.raises(BadConfiguration) as refused:
        checked.check_model(positions, width)
    assert refused.value.metadata["field"] == field


def test_nothing_heavy_is_loaded_to_check() -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow")
    code = f"import sys, services.train.job.program; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
