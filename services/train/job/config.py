"""What a training is told, checked before anything heavy is loaded."""

import math
from dataclasses import dataclass
from typing import Self, TypeVar

from bookmill.v1 import train_pb2
from services.jobs.exits import BadConfiguration

_Number = TypeVar("_Number", int, float)

PRECISIONS = ("auto", "4bit", "16bit")


TRAIN_SPLIT = "train.parquet"
TEST_SPLIT = "test.parquet"
"""Files of a dataset, as BuildDataset names them; the second is absent where nothing is held out."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Hyper-parameters with every value set; each says what it trades."""

    lora_rank: int
    """More learns more, and costs memory and time in proportion; above the width of the model it buys nothing."""
    lora_alpha: int
    """The adapters' output is scaled by alpha / rank: more learns faster and less stably, like a learning rate."""
    lora_dropout: float
    """Share of the adapters' inputs left out at random: against learning few books by heart, at a slower start.
    Above 0 it keeps unsloth from its fastest kernels."""
    learning_rate: float
    """The peak. Too high and the loss leaps or is no number, too low and the steps are wasted."""
    warmup_steps: int
    """Steps of linear rise to the peak, 0 for none; a short training warms up for at most half of its steps."""
    weight_decay: float
    """Pull of the adapters towards 0, hence towards the base model."""
    epochs: float
    """Passes over the training split; a second pass learns the books more by heart than their style."""
    max_steps: int
    """Ends earlier than `epochs` would, 0 for no limit. The schedule falls to 0 by whichever end comes first."""
    context_length: int
    """Tokens of a sequence. Longer teaches longer coherence; memory grows in proportion, attention's time by square."""
    batch_size: int
    """Sequences of a device's step: more is faster on a GPU and takes memory in proportion, less fits."""
    gradient_accumulation: int
    """Device steps of an optimiser step: a larger batch (steadier, fewer steps) at no memory."""
    seed: int
    """Of the adapters' start, the order of sequences and dropout."""
    checkpoint_steps: int
    """Steps that a crash may lose, against the time that a checkpoint takes (the adapter's size three times over)."""
    precision: str
    """`4bit` holds the base model in a quarter of the memory, a little less exactly, and needs a GPU; `16bit` as it
    is; `auto` is the first on a GPU and the second on a CPU."""
    evaluation_tokens: int
    """Held-out tokens that perplexity is measured on: more is a steadier figure and takes longer, twice."""

    @classmethod
    def from_proto(cls, message: train_pb2.Hyperparameters) -> Self:
        """Reads and checks the message, in which every field is set (-1 where nothing is meant).

        Raises:
            BadConfiguration: `BAD_HYPERPARAMETER`: names the field, the value and the choices.
        """
        config = cls(
            lora_rank=message.lora_rank,
            lora_alpha=message.lora_alpha,
            lora_dropout=message.lora_dropout,
            learning_rate=message.learning_rate,
            warmup_steps=_none_is_zero("warmup_steps", message.warmup_steps),
            weight_decay=_none_is_zero("weight_decay", message.weight_decay),
            epochs=message.epochs,
            max_steps=message.max_steps,
            context_length=message.context_length,
            batch_size=message.batch_size,
            gradient_accumulation=message.gradient_accumulation,
            seed=message.seed,
            checkpoint_steps=message.checkpoint_steps,
            precision=message.precision,
            evaluation_tokens=message.evaluation_tokens,
        )
        config.check()
        return config

    def check(self) -> None:
        """Checks each value.

        Raises:
            BadConfiguration: `BAD_HYPERPARAMETER`.
        """
        for field, low, high in _RANGES:
            value = getattr(self, field)
            if not math.isfinite(value) or not low <= value <= high:
                raise refuse(field, value, f"{low:,} to {high:,}")
        if self.precision not in PRECISIONS:
            raise refuse("precision", self.precision, ", ".join(PRECISIONS))
        if self.context_length * self.batch_size > _STEP_TOKENS:
            raise refuse(
                "batch_size",
                self.batch_size,
                f"{max(_STEP_TOKENS // self.context_length, 1)} at the most with a context_length of "
                f"{self.context_length:,}; gradient_accumulation makes larger batches without memory",
            )

    def warmup(self, steps: int) -> int:
        """Gives the steps of warm-up in a training of `steps`: half of them at the most."""
        return min(self.warmup_steps, steps // 2)

    def quantised(self, gpu: bool) -> bool:
        """Says whether the base model is held in 4 bits.

        Raises:
            BadConfiguration: `BAD_HYPERPARAMETER`: 4 bits are asked for without a GPU.
        """
        if self.precision == "4bit" and not gpu:
            raise refuse("precision", self.precision, "auto or 16bit on this machine, which has no GPU")
        return gpu and self.precision != "16bit"

    def check_model(self, positions: int | None, width: int | None) -> None:
        """Checks what depends on the base model.

        Args:
            positions: the longest context that it was made for, None when it does not say.
            width: of its hidden layers, None when it does not say.

        Raises:
            BadConfiguration: `BAD_HYPERPARAMETER`.
        """
        if positions is not None and self.context_length > positions:
            raise refuse("context_length", self.context_length, f"at most {positions:,} with this base model")
        if width is not None and self.lora_rank > width:
            raise refuse("lora_rank", self.lora_rank, f"at most {width:,} with this base model, its width")


def refuse(field: str, value: object, choices: str) -> BadConfiguration:
    """Makes the error for one wrong value."""
    message = f"{field} is {value!r}; it can be {choices}"
    return BadConfiguration("BAD_HYPERPARAMETER", message, field=field, value=repr(value), choices=choices)


# Beyond 1,048,576 tokens in one device step nothing fits any single GPU there is.
_STEP_TOKENS = 1 << 20

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("lora_rank", 1, 1024),
    ("lora_alpha", 1, 4096),
    ("lora_dropout", 0, 0.9),
    ("learning_rate", 1e-9, 1),
    ("warmup_steps", 0, 1_000_000),
    ("weight_decay", 0, 1),
    ("epochs", 0.001, 1000),
    ("max_steps", 0, 10_000_000),
    ("context_length", 16, 1_048_576),
    ("batch_size", 1, 1024),
    ("gradient_accumulation", 1, 1024),
    ("seed", 1, 2**32 - 1),  # NumPy's generator takes no larger one
    ("checkpoint_steps", 1, 1_000_000),
    ("evaluation_tokens", 2, 10_000_000),
)


def _none_is_zero(field: str, value: _Number) -> _Number:
    """Reads a field whose 0 would mean the default, so that nothing is written -1."""
    if value == 0:
        raise refuse(field, value, "-1 for none, or the value; 0 stands for the default, which the service fills in")
    return type(value)(0) if value == -1 else value
