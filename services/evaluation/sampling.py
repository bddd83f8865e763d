"""Text that a model writes on from a prompt, the same for the same seed."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from services.evaluation.texts import start_token


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. The same in llama.cpp and Ollama by these names (`num_predict` for `tokens`)."""

    tokens: int
    """Tokens to write at the most; fewer where the model ends the text."""
    temperature: float = 0.8
    """Divides the logits: 0 takes the likeliest token each time, 1 samples as the model was trained to predict."""
    top_p: float = 0.95
    """Samples among the likeliest tokens that together have this probability; 1 takes all."""
    seed: int = 3407
    """Of the draws, for each prompt anew: a prompt's sample does not depend on those before it."""

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"{self!r}: needs tokens of 1 or more, temperature 0 or more, top_p above 0 and up to 1")


def sample(model: Any, tokenizer: Any, prompts: list[str], sampling: Sampling) -> list[str]:
    """Writes on from each prompt, as raw completion: no chat template, nothing between prompt and sample.

    Args:
        model: a causal model of transformers, or one with an adapter of PEFT.
        tokenizer: its tokenizer.
        prompts: each not empty.
        sampling: how.

    Returns:
        What was written after each prompt, without the token that ends a text.

    Raises:
        ValueError: a prompt is empty.
    """
    if not all(prompts):
        raise ValueError("a prompt is empty: there is nothing to write on from")
    training = model.training
    model.eval()
    try:
        return [_complete(model, tokenizer, prompt, sampling) for prompt in prompts]
    finally:
        model.train(training)


def _complete(model: Any, tokenizer: Any, prompt: str, sampling: Sampling) -> str:
    start = start_token(tokenizer)
    ids = ([] if start is None else [start]) + tokenizer(prompt, add_special_tokens=False)["input_ids"]
    batch = torch.tensor([ids], device=next(model.parameters()).device)
    # The model's own generation_config may sample in ways of its own (top_k, a repetition penalty): none of it is
    # taken over, but what is neutral is written out, since 0 and None mean defaults there.
    drawing = (
        {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        if sampling.temperature > 0
        else {"do_sample": False}
    )
    build: Any = GenerationConfig  # its constructor is not typed
    how = build(
        max_new_tokens=sampling.tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        use_cache=True,
        **drawing,
    )
    kept, model.generation_config = model.generation_config, how
    try:
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(sampling.seed)
            written = model.generate(input_ids=batch, attention_mask=torch.ones_like(batch), generation_config=how)
    finally:
        model.generation_config = kept
    text: str = tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
