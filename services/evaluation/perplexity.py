"""Perplexity of a causal language model on given token ids."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from services.evaluation.texts import windows

_POSITIONS = 512  # whose logits are held at a time in 32 bits: 100 MB for a vocabulary of 49,152


class Perplexity(NamedTuple):
    """A measurement."""

    value: float
    """exp(mean negative log-likelihood), at least 1; infinite where it overflows, NaN for a broken model."""
    tokens: int
    """Tokens that were predicted; the mean is over these."""


def perplexity(
    model: Any,
    tokens: Sequence[int],
    window: int,
    start: int | None = None,
    on_window: Callable[[int, int], None] | None = None,
) -> Perplexity:
    """Measures perplexity: exp(-1/N · Σ ln p(token | the tokens before it in its window)).

    The ids are cut into windows that do not overlap (`services.evaluation.texts.windows`); all tokens of a window but
    its first are predicted, N in all. The number is therefore a little higher than with a sliding window, and the same
    in every runtime that is given the same windows. Sums are in 64 bits.

    Args:
        model: a causal model of transformers, or one with an adapter of PEFT. Left in the mode that it was in.
        tokens: ids without special tokens, at least 2.
        window: ids of a window at the most, the context that the model was trained with.
        start: the id that is set before each window (`start_token`).
        on_window: told tokens done and in all after each window; what it raises ends the measurement.

    Raises:
        ValueError: there are too few tokens to predict any.
    """
    total = 0.0
    count = 0
    seen = 0
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for ids in windows(list(tokens), window, start):
                if len(ids) > 1:
                    total += _negative_log_likelihood(model, ids)
                    count += len(ids) - 1
                seen += len(ids) - (start is not None)
                if on_window is not None:
                    on_window(seen, len(tokens))
    finally:
        model.train(training)
    if count == 0:
        raise ValueError(f"{len(tokens)} tokens are too few to measure perplexity on")
    return Perplexity(_exp(total / count), count)


def _negative_log_likelihood(model: Any, ids: list[int]) -> float:
    batch = torch.tensor([ids], device=next(model.parameters()).device)
    # One sequence without padding: no mask is needed, and no cache since nothing is generated.
    logits = model(input_ids=batch, use_cache=False).logits[0, :-1]
    targets = batch[0, 1:]
    total = 0.0
    for at in range(0, len(targets), _POSITIONS):
        some, wanted = logits[at : at + _POSITIONS].float(), targets[at : at + _POSITIONS]
        total += float(torch.nn.functional.cross_entropy(some, wanted, reduction="none").double().sum())
    return total


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
