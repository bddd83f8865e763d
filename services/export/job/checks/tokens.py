"""Whether llama.cpp reads a text as the model was trained to: the same ids, the same beginning, the same end.

Perplexities are measured on ids, so that they say nothing of a tokenizer that splits otherwise; a user's prompt goes
through it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.export.job.checks.llama_runtime import Examination
from services.jobs.exits import ParityFailed


@dataclass(frozen=True, slots=True)
class Reading:
    """How transformers reads a text."""

    text: str
    """The text."""
    tokens: Sequence[int]
    """Its ids, nothing added."""
    start: int | None
    """The id that is set before a text, None where none is."""
    end: int | None
    """The id that ends a text, None where none does."""


def require_equal_tokens(reading: Reading, seen: Examination) -> None:
    """Lets a GGUF pass whose tokenizer agrees.

    Args:
        reading: what transformers makes of a text.
        seen: what llama.cpp makes of it, as the only text.

    Raises:
        ParityFailed: `PARITY`, with the place where the ids part.
    """
    (found,) = seen.tokens
    wanted = tuple(reading.tokens)
    if found != wanted:
        at = next(
            (i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted))
        )
        raise ParityFailed(
            message=f"llama.cpp's tokenizer gives other ids: from token {at} on {list(found[at : at + 4])}, "
            f"not {list(wanted[at : at + 4])}",
            subject="tokens",
        )
    if seen.adds_bos != (reading.start is not None) or seen.adds_eos:
        raise ParityFailed(
            message=f"llama.cpp adds begin {seen.adds_bos}, end {seen.adds_eos} to a prompt; the model was trained "
            f"with begin {reading.start is not None}, and no prompt ends a text",
            subject="tokens",
        )
    if reading.end is not None and seen.end != reading.end:
        raise ParityFailed(
            message=f"llama.cpp ends a text at token {seen.end}, the model at {reading.end}", subject="tokens"
        )
