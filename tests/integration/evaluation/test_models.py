"""Perplexity and samples of a real, tiny model."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.evaluation.perplexity import perplexity
from services.evaluation.sampling import Sampling, sample
from services.evaluation.texts import held_out_tokens, start_token
from services.train.job.model import adapters_off
from tests.support.tiny_model import CONTEXT, TALE, build_tiny_model
from tests.support.training import rows

PROMPTS = ["The miller", "In the morning"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build_tiny_model(folder, hidden=64)
    return folder


@pytest.fixture
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokens(tokenizer: Any) -> list[int]:
    return held_out_tokens(rows("900001", TALE), tokenizer, 300)


def test_held_out_ids_are_the_texts(tokenizer: Any, tokens: list[int]) -> None:
    assert len(tokens) == 300
    assert TALE.startswith(tokenizer.decode(tokens))
    assert start_token(tokenizer) is None


def test_one_window_is_the_loss_of_transformers(model: Any, tokens: list[int]) -> None:
    batch = torch.tensor([tokens])
    expected = math.exp(model(input_ids=batch, labels=batch).loss.item())
    measured = perplexity(model, tokens, CONTEXT)
    assert measured.tokens == len(tokens) - 1
    assert measured.value == pytest.approx(expected, rel=1e-5)


def test_equal_measurements_are_equal(model: Any, tokens: list[int]) -> None:
    assert perplexity(model, tokens, 64) == perplexity(model, tokens, 64)
    assert perplexity(model, tokens, 64).value != perplexity(model, tokens, 32).value


def test_adapters_count_unless_they_are_off(model: Any, tokens: list[int]) -> None:
    base = perplexity(model, tokens, 64)
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False))
    assert perplexity(adapted, tokens, 64) != base
    with adapters_off(adapted):
        assert perplexity(adapted, tokens, 64) == base
    assert any(parameter.requires_grad for parameter in adapted.parameters())


def test_a_sample_depends_on_its_seed_and_prompt_alone(model: Any, tokenizer: Any) -> None:
    how = Sampling(tokens=20, temperature=1.0, top_p=0.9, seed=7)
    first, second = sample(model, tokenizer, PROMPTS, how)
    assert first
    assert first != second
    torch.manual_seed(99)
    drawn = torch.rand(1)
    torch.manual_seed(99)
    assert sample(model, tokenizer, PROMPTS[::-1], how) == [second, first]
    assert torch.rand(1) == drawn, "the caller's random numbers are left alone"
    assert sample(model, tokenizer, PROMPTS, Sampling(20, 1.0, 0.9, seed=8)) != [first, second]


def test_temperature_0_takes_the_likeliest(model: Any, tokenizer: Any) -> None:
    (text,) = sample(model, tokenizer, PROMPTS[:1], Sampling(tokens=5, temperature=0.0))
    ids = tokenizer(PROMPTS[0])["input_ids"]
    for _ in range(5):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    assert text == tokenizer.decode(ids[len(tokenizer(PROMPTS[0])["input_ids"]) :], skip_special_tokens=True)


def test_the_models_own_way_of_sampling_is_not_taken(model: Any, tokenizer: Any) -> None:
    how = Sampling(tokens=20, temperature=1.0, top_p=1.0)
    expected = sample(model, tokenizer, PROMPTS, how)
    model.generation_config.top_k = 1
    model.generation_config.repetition_penalty = 5.0
    kept = model.generation_config
    assert sample(model, tokenizer, PROMPTS, how) == expected
    assert model.generation_config is kept


def test_the_end_of_a_text_ends_a_sample(model: Any, tokenizer: Any) -> None:
    class Ending(torch.nn.Linear):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = super().forward(hidden)
            logits[..., tokenizer.eos_token_id] = 1e4
            return logits

    model.lm_head.__class__ = Ending
    assert sample(model, tokenizer, PROMPTS, Sampling(tokens=5)) == ["", ""]


@pytest.mark.parametrize(
    "wrong",
    [{"tokens": 0}, {"tokens": 5, "temperature": -1.0}, {"tokens": 5, "top_p": 0.0}, {"tokens": 5, "top_p": 1.1}],
)
def test_wrong_sampling_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs tokens of 1 or more"):
        Sampling(**wrong)


def test_an_empty_prompt_is_an_error(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        sample(model, tokenizer, ["The miller", ""], Sampling(tokens=5))
