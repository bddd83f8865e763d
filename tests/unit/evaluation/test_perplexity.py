"""Perplexity of models whose answers are known."""

import math
from types import SimpleNamespace

import pytest
import torch

from services.evaluation.perplexity import perplexity


class Known(torch.nn.Module):
    """Gives the next id, one more than the last, `share` of the probability, and the others equal parts of the rest."""

    def __init__(self, vocabulary: int, share: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.vocabulary = vocabulary
        self.share = share
        self.lengths: list[int] = []

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        assert not self.training
        self.lengths.append(input_ids.shape[1])
        rest = math.log((1 - self.share) / (self.vocabulary - 1))
        logits = torch.full((*input_ids.shape, self.vocabulary), rest)
        following = (input_ids + 1) % self.vocabulary
        return SimpleNamespace(logits=logits.scatter(-1, following.unsqueeze(-1), math.log(self.share)))


def test_a_model_that_knows_nothing_has_the_vocabularys_size() -> None:
    measured = perplexity(Known(50, 1 / 50), list(range(40)), window=16)
    assert measured.value == pytest.approx(50, rel=1e-6)
    assert measured.tokens == 40 - 3  # the first of each window is not predicted


def test_the_mean_is_of_logarithms() -> None:
    # Ids 0, 1, 2 follow each other, 7 does not follow 2.
    value = perplexity(Known(10, 0.5), [0, 1, 2, 7], window=16).value
    assert value == pytest.approx(math.exp(-(2 * math.log(0.5) + math.log(0.5 / 9)) / 3), rel=1e-6)


def test_windows_begin_with_the_start() -> None:
    model = Known(10, 0.5)
    measured = perplexity(model, [1, 2, 3, 4, 5], window=3, start=0)
    assert model.lengths == [3, 3, 2]
    assert measured.tokens == 5  # each is predicted, from the start on


def test_the_model_is_left_in_its_mode() -> None:
    for training in (True, False):
        model = Known(10, 0.5).train(training)
        perplexity(model, [1, 2, 3], window=8)
        assert model.training is training


def test_it_tells_how_far_it_is_and_can_be_ended() -> None:
    seen: list[tuple[int, int]] = []
    perplexity(Known(10, 0.5), [1] * 10, 4, on_window=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]

    def end(done: int, total: int) -> None:
        raise KeyboardInterrupt

    model = Known(10, 0.5).train()
    with pytest.raises(KeyboardInterrupt):
        perplexity(model, [1] * 10, 4, on_window=end)
    assert model.training


def test_nothing_to_predict_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 tokens are too few"):
        perplexity(Known(10, 0.5), [1], 4)


def test_a_broken_model_is_no_number() -> None:
    assert math.isnan(perplexity(Known(10, math.nan), [1, 2, 3], 4).value)
