import math

import pytest

from bookmill.v1.train_pb2 import Hyperparameters, TrainingSpec
from services.common.errors import InvalidInput
from services.train.step import TRAIN
from services.train.training_jobs import complete


def spec(**options: float | str) -> TrainingSpec:
    return TrainingSpec(hyperparameters=Hyperparameters(**options))  # type: ignore[arg-type]


def test_the_defaults_are_those_that_the_proto_names() -> None:
    options = complete(TrainingSpec()).hyperparameters
    expected = Hyperparameters(
        lora_rank=16,
        lora_alpha=16,
        learning_rate=0.0002,
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
    assert options == expected


def test_what_is_said_stays_and_what_is_default_is_the_same_job() -> None:
    given = spec(lora_rank=8, warmup_steps=-1, max_steps=3)
    filled = complete(given)
    assert filled.hyperparameters.lora_rank == 8
    assert filled.hyperparameters.warmup_steps == -1
    assert given == spec(lora_rank=8, warmup_steps=-1, max_steps=3), "the request itself is left as it was"
    assert TRAIN.key(complete(spec())) == TRAIN.key(complete(spec(lora_rank=16, seed=3407)))
    assert TRAIN.key(complete(spec())) != TRAIN.key(complete(spec(lora_rank=8)))
    assert complete(filled) == filled


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lora_rank", -1),
        ("lora_alpha", 100_000),
        ("lora_dropout", 1.5),
        ("lora_dropout", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("warmup_steps", -2),
        ("weight_decay", 2),
        ("epochs", -1),
        ("max_steps", -1),
        ("context_length", 3),
        ("batch_size", 5000),
        ("gradient_accumulation", -4),
        ("seed", -1),
        ("seed", 2**32),
        ("checkpoint_steps", -1),
        ("precision", "8bit"),
        ("evaluation_tokens", -5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: float | str) -> None:
    with pytest.raises(InvalidInput, match="BAD_HYPERPARAMETER") as caught:
        complete(spec(**{field: value}))
    assert caught.value.metadata["field"] == field
    assert field in caught.value.message
