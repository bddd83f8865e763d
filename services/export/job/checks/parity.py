"""The parity check: what each step makes predicts held-out text as well as what it was made of, within a bound.

The numbers are perplexities on the same token ids in the same windows, from `transformers` up to the merged model and
from llama.cpp for each GGUF. A wrong scale of the adapter, a tensor in the wrong order, a tokenizer that splits
otherwise: all show here, and a model that fails is never called finished.
"""

import math
from dataclasses import dataclass

from services.jobs.exits import ParityFailed


@dataclass(frozen=True, slots=True)
class Comparison:
    """A perplexity beside the one that it must agree with."""

    subject: str
    """What was made: `merged`, `f16`, `q4_k_m`."""
    value: float
    """Its perplexity."""
    against: str
    """What it was made of."""
    reference: float
    """That one's perplexity."""
    bound: float
    """How far apart they may lie."""

    @property
    def apart(self) -> float:
        """`|value / reference - 1|`; NaN or infinite where either is no perplexity."""
        return abs(self.value / self.reference - 1) if self.reference else math.nan


def require_agreement(comparison: Comparison) -> None:
    """Lets a model pass whose perplexity agrees.

    Raises:
        ParityFailed: `PARITY`, with the figure that failed, both values and the bound.
    """
    require_perplexity(comparison.subject, comparison.value)
    require_perplexity(comparison.against, comparison.reference)
    if comparison.apart <= comparison.bound:
        return
    raise ParityFailed(
        message=f"perplexity of {comparison.subject} is {comparison.value:.4f}, of {comparison.against} "
        f"{comparison.reference:.4f}: they lie {comparison.apart:.2%} apart, {comparison.bound:.2%} are allowed",
        subject=comparison.subject,
        value=repr(comparison.value),
        against=comparison.against,
        reference=repr(comparison.reference),
        bound=repr(comparison.bound),
    )


def require_perplexity(subject: str, value: float) -> None:
    """Lets a number pass that can be a perplexity: finite and at least 1.

    Raises:
        ParityFailed: `PARITY`.
    """
    if not (math.isfinite(value) and value >= 1):
        raise ParityFailed(
            message=f"perplexity of {subject} is {value!r}, which is none: the model is broken",
            subject=subject,
            value=repr(value),
        )
