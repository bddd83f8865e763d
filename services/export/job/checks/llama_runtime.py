"""A GGUF as the real llama.cpp sees it: its tokenizer, and its perplexity.

llama.cpp aborts the whole process on some bad files, so it is asked in a process of its own (`llama_process`),
which also gives its memory back.
"""

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.canonical import JSON
from services.export.job.checks import llama_process
from services.export.job.children import Ended, run_child
from services.jobs.exits import BadConfiguration
from services.jobs.signals import StopFlag

SECONDS_A_TOKEN = 10.0
"""Deadline of a measurement by the tokens in it: an 8 B model in 16 bits takes 1 s a token on 2 cores."""

SECONDS_TO_LOAD = 900.0
"""Deadline of loading: 16 GB from a slow disk."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What llama.cpp says of a GGUF."""

    perplexity: float
    """exp of the mean negative log-likelihood of the tokens that were predicted; NaN when none was."""
    predicted: int
    """Tokens predicted: all but the first of each window."""
    tokens: tuple[tuple[int, ...], ...]
    """The ids of each text, nothing added."""
    adds_bos: bool
    """Whether a prompt gets the begin token in front."""
    adds_eos: bool
    """Whether a prompt gets the end token behind."""
    end: int
    """Id of the end token, -1 for none."""
    vocabulary: int
    """Number of tokens."""


def examine(
    model: Path,
    windows: Sequence[Sequence[int]],
    texts: Sequence[str] = (),
    *,
    threads: int = 2,
    stop: StopFlag | None = None,
) -> Examination:
    """Loads a GGUF with llama.cpp and measures it.

    Args:
        model: the file.
        windows: token ids; each window is predicted by itself, from an empty memory.
        texts: to tokenise.
        threads: threads of arithmetic; fixed, since sums depend on it.
        stop: ends it.

    Raises:
        BadConfiguration: `NO_LLAMA`: the pinned llama.cpp is not installed; `LLAMA_FAILED`: it does not load the file
            or aborts on it, nor would it do better at a user's.
        OutOfMemory: memory does not hold the model.
        DeadlineExceeded: `TOO_SLOW`.
        Interrupted: it was stopped.
    """
    tokens = sum(len(window) for window in windows)
    with tempfile.TemporaryDirectory(prefix="bookmill-llama-") as folder:
        answer = Path(folder) / "answer.json"
        request: dict[str, JSON] = {
            "model": str(model),
            "windows": [list(window) for window in windows],
            "texts": list(texts),
            "threads": threads,
            "answer": str(answer),
        }
        deadline = SECONDS_TO_LOAD + SECONDS_A_TOKEN * tokens
        ended = run_child(llama_process.__name__, request, deadline=deadline, stop=stop or StopFlag())
        if ended.code:
            raise _failure(model, ended)
        found = json.loads(answer.read_text(encoding="utf-8"))
    predicted = sum(max(len(window) - 1, 0) for window in windows)
    losses = found.pop("losses")
    ids = tuple(tuple(text) for text in found.pop("tokens"))
    return Examination(_perplexity(math.fsum(losses), predicted), predicted, ids, **found)


def _failure(model: Path, ended: Ended) -> BadConfiguration:
    if ended.code == llama_process.WRONG_LIBRARY:
        return BadConfiguration("NO_LLAMA", ended.said)
    if ended.code == llama_process.NOT_LOADED:
        how = "does not load"
    else:
        how = f"was ended by signal {-ended.code} on" if ended.code < 0 else f"failed (exit {ended.code}) on"
    return BadConfiguration("LLAMA_FAILED", f"llama.cpp {how} {model.name}: {ended.said}")


def _perplexity(loss: float, predicted: int) -> float:
    if not predicted:
        return math.nan
    try:
        return math.exp(loss / predicted)
    except OverflowError:
        return math.inf
