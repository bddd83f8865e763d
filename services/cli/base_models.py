"""Short names of base models that are often fine-tuned on books."""

from services.common.errors import InvalidInput

BASE_MODELS = {
    "llama-3-8b": "hf:meta-llama/Meta-Llama-3-8B",
    "llama-3.1-8b": "hf:meta-llama/Llama-3.1-8B",
    "llama-3.2-1b": "hf:meta-llama/Llama-3.2-1B",
    "llama-3.2-3b": "hf:meta-llama/Llama-3.2-3B",
    "mistral-7b": "hf:mistralai/Mistral-7B-v0.3",
    "gemma-2-2b": "hf:google/gemma-2-2b",
    "gemma-2-9b": "hf:google/gemma-2-9b",
    "smollm2-135m": "hf:HuggingFaceTB/SmolLM2-135M",
    "smollm2-1.7b": "hf:HuggingFaceTB/SmolLM2-1.7B",
}
"""Base models, none of them a chat model, in 16 bits."""

SCHEMES = ("hf:ORG/NAME[@REVISION]", "file:FOLDER", "s3:BUCKET/PREFIX", "upload:SHA256")
"""Other ways to name a model."""


def resolve(name: str) -> str:
    """Gives the URI of a base model.

    Args:
        name: a short name, or a URI, which is left as it is.

    Raises:
        InvalidInput: `UNKNOWN_MODEL`, with the choices.
    """
    if ":" in name:
        return name
    if name in BASE_MODELS:
        return BASE_MODELS[name]
    choices = ", ".join((*BASE_MODELS, *SCHEMES))
    raise InvalidInput("UNKNOWN_MODEL", f"base model {name!r} is not known; choose one of {choices}", choices=choices)
