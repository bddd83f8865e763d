import dataclasses

import pytest

from bookmill.v1.train_pb2 import Hyperparameters, TrainingSpec
from services.train.estimating import DataFacts, ModelFacts, estimate
from services.train.training_jobs import complete

# SmolLM2-135M by its configuration: 30 layers of width 576, 9 heads, 3 of keys and values, MLP of 1,536.
_LAYER = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
SMOL = ModelFacts(134_515_008, tuple(_LAYER * 30), 576, 30, 49_152, 269_000_000)
# Llama 3.1 8B: 32 layers of width 4,096, MLP of 14,336.
_LARGE = [(4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096), (14336, 4096), (14336, 4096), (4096, 14336)]
LLAMA = ModelFacts(8_030_261_248, tuple(_LARGE * 32), 4096, 32, 128_256, 16_060_556_376)
DATA = DataFacts(text_bytes=4_000_000, sample_bytes=40_000, sample_tokens=10_000)


def options(**changes: float | str) -> Hyperparameters:
    return complete(TrainingSpec(hyperparameters=Hyperparameters(**changes))).hyperparameters  # type: ignore[arg-type]


def test_tokens_and_adapters_are_counted() -> None:
    figures = estimate(SMOL, DATA, options(), gpu=False, operations_per_second=None)
    assert figures.tokens == 1_000_000
    # As PEFT counts them for r 16 on all linear layers.
    assert figures.trainable_parameters == 4_884_480
    assert figures.seconds is None


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 62),  # 1,000,000 / (2,048 * 2 * 4), rounded up
        ({"epochs": 2}, 124),
        ({"epochs": 0.5}, 31),
        ({"max_steps": 20}, 20),
        ({"max_steps": 500}, 62),
        ({"gradient_accumulation": 1, "batch_size": 1, "context_length": 512}, 1954),
    ],
)
def test_steps_are_the_trainer_s(changes: dict[str, float], steps: int) -> None:
    assert estimate(SMOL, DATA, options(**changes), False, None).steps == steps


def test_memory_is_that_of_the_hardware() -> None:
    # Measured for r 16 at 2 x 512 tokens: 2 to 4 GB.
    cpu = estimate(SMOL, DATA, options(context_length=512), False, None)
    assert 2e9 < cpu.memory_bytes < 4e9
    four, sixteen = (estimate(LLAMA, DATA, options(precision=p), True, None) for p in ("4bit", "16bit"))
    assert 8e9 < four.memory_bytes < 16e9, "an 8B model in 4 bits is trained on a GPU of 16 GB"
    assert sixteen.memory_bytes - four.memory_bytes > 9e9
    assert four.trainable_parameters == 41_943_040


def test_disk_holds_the_model_two_checkpoints_and_a_fifth() -> None:
    figures = estimate(SMOL, DATA, options(), False, None)
    assert figures.disk_bytes == pytest.approx(1.2 * (269_000_000 + 2 * 12 * 4_884_480), rel=0.01)


def test_seconds_need_a_speed_and_follow_the_tokens() -> None:
    one = estimate(SMOL, DATA, options(max_steps=10), False, 1e11).seconds
    two = estimate(SMOL, DATA, options(max_steps=20), False, 1e11).seconds
    assert one is not None
    assert two == pytest.approx(2 * one)
    assert one == pytest.approx(6 * 134_515_008 * 10 * 16_384 / 1e11)


def test_an_empty_split_is_one_step_of_nothing() -> None:
    figures = estimate(SMOL, dataclasses.replace(DATA, sample_bytes=0, sample_tokens=0), options(), False, 1e11)
    assert (figures.tokens, figures.steps, figures.seconds) == (0, 1, 0)
