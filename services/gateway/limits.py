"""The range of every number that a run may be asked with."""

from dataclasses import dataclass
from operator import attrgetter

from bookmill.v1 import run_pb2


@dataclass(frozen=True, slots=True)
class Limit:
    """The range of one field."""

    field: str
    """Its path in the spec."""
    lowest: float
    highest: float
    reason: str
    besides: tuple[float, ...] = ()
    """Values outside the range that mean something: 0 for the service's default, -1 for none."""

    @property
    def note(self) -> str:
        """What the values outside the range mean, for the message."""
        meanings: dict[float, str] = {0: "0 for the default", -1: "-1 for none"}
        listed = [meanings[value] for value in self.besides if value in meanings]
        return f" ({', '.join(listed)})" if listed else ""

    def value(self, spec: run_pb2.RunSpec) -> float:
        """Reads the field."""
        number: float = attrgetter(self.field)(spec)
        return number


def _hyper(field: str, lowest: float, highest: float, *besides: float) -> Limit:
    return Limit(f"hyperparameters.{field}", lowest, highest, "BAD_HYPERPARAMETER", besides)


# The limits of hyper-parameters are those within which a value can be meant; what a model and a machine allow is the
# train service's to say.
OPTIONS = (
    Limit("max_books", 1, 10_000, "BAD_LIMIT", (0,)),
    Limit("max_characters", 200, 100_000, "BAD_LIMIT"),
    Limit("held_out_fraction", 0.01, 0.5, "BAD_FRACTION"),
    Limit("parity_tokens", 16, 1_000_000, "BAD_LIMIT"),
    Limit("samples.tokens", 1, 4096, "BAD_OPTION", (0,)),
    Limit("samples.temperature", 0.01, 5, "BAD_OPTION", (0,)),
    Limit("samples.top_p", 0.01, 1, "BAD_OPTION", (0,)),
    Limit("samples.seed", 0, 2**32 - 1, "BAD_OPTION"),
    _hyper("lora_rank", 1, 1024, 0),
    _hyper("lora_alpha", 1, 4096, 0),
    _hyper("lora_dropout", 0, 0.95),
    _hyper("learning_rate", 1e-8, 1, 0),
    _hyper("warmup_steps", -1, 1_000_000),
    _hyper("weight_decay", 0, 10, -1),
    _hyper("epochs", 1e-6, 1000, 0),
    _hyper("max_steps", 0, 10_000_000),
    _hyper("context_length", 8, 1_048_576, 0),
    _hyper("batch_size", 1, 4096, 0),
    _hyper("gradient_accumulation", 1, 4096, 0),
    _hyper("seed", 0, 2**32 - 1),
    _hyper("checkpoint_steps", 1, 1_000_000, 0),
    _hyper("evaluation_tokens", 1, 100_000_000, 0),
)
