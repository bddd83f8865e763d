"""The Modelfile, with which Ollama makes a model of a GGUF that completes texts.

The prompt reaches the model as it is (`TEMPLATE` of nothing but the prompt, the same as asking with `raw`), so that
nobody's chat format gets between a beginning and its continuation.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a Modelfile says."""

    file_name: str
    """The GGUF beside it."""
    end: str | None
    """The tokenizer's own end token, None where it has none."""
    context: int
    """Tokens of the context that the model was trained with."""
    temperature: float
    """Of sampling."""
    top_p: float
    """Of sampling."""


def modelfile(recipe: Recipe) -> str:
    """Writes a Modelfile (https://docs.ollama.com/modelfile)."""
    lines = [f"FROM ./{recipe.file_name}", 'TEMPLATE """{{ .Prompt }}"""']
    if recipe.end:
        lines.append(f'PARAMETER stop "{recipe.end}"')
    lines += [
        f"PARAMETER num_ctx {recipe.context}",
        f"PARAMETER temperature {recipe.temperature!r}",
        f"PARAMETER top_p {recipe.top_p!r}",
        # Ollama cuts to the 40 likeliest tokens and punishes repetition unless told not to; the samples here do not.
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1.0",
    ]
    return "\n".join(lines) + "\n"
