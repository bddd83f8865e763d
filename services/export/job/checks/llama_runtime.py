"""A GGUF as the real llama.cpp sees it: its tokenizer, and its perplexity.

llama.cpp aborts the whole process on some bad files, so each question is asked in a process of its own
(`llama_process`), which also gives its memory back.
"""

import json
import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.export.job.checks import llama_process
from services.jobs.exits import BadConfiguration, Interrupted, OutOfMemory

SECONDS_A_TOKEN = 10.0
"""Deadline of a measurement by the length of the request: an 8 B model in 16 bits takes 1 s a token on 2 cores."""

SECONDS_TO_LOAD = 900.0
"""Deadline for loading: 16 GB from a slow disk."""


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
    model: Path, windows: Sequence[Sequence[int]], texts: Sequence[str] = (), *, threads: int = 2
) -> Examination:
    """Load a GGUF with llama.cpp and measure it.

    Args:
        model: the file.
        windows: token ids; each window is predicted by itself, from an empty memory.
        texts: to tokenise.
        threads: threads of the computation; fixed, since sums depend on it.

    Raises:
        BadConfiguration: `NO_LLAMA`: the pinned llama.cpp is not installed.
            `LLAMA_FAILED`: it does not load the file, aborts on it, or takes too long; nor would it at a user's.
        OutOfMemory: it was killed, as the kernel does when memory runs out.
        Interrupted: it was asked to stop.
    """
    request = {
        "model": str(model),
        "windows": [list(window) for window in windows],
        "texts": list(texts),
        "threads": threads,
    }
    answer = json.loads(_ask(request))
    predicted = sum(max(len(window) - 1, 0) for window in windows)
    return Examination(
        perplexity=_perplexity(math.fsum(answer["losses"]), predicted),
        predicted=predicted,
        tokens=tuple(tuple(ids) for ids in answer["tokens"]),
        adds_bos=answer["adds_bos"],
        adds_eos=answer["adds_eos"],
        end=answer["end"],
        vocabulary=answer["vocabulary"],
    )


def _ask(request: dict[str, object]) -> str:
    model = Path(str(request["model"])).name
    encoded = json.dumps(request)
    deadline = SECONDS_TO_LOAD + SECONDS_A_TOKEN * len(encoded)
    with tempfile.TemporaryDirectory(prefix="bookmill-llama-") as folder:
        path = Path(folder) / "answer.json"
        command = [sys.executable, "-m", llama_process.__name__, str(path)]
        try:
            done = subprocess.run(command, input=encoded.encode(), capture_output=True, timeout=deadline, check=False)
        except subprocess.TimeoutExpired as error:
            raise BadConfiguration("LLAMA_FAILED", f"llama.cpp took more than {deadline:.0f} s over {model}") from error
        if done.returncode == llama_process.WRONG_LIBRARY:
            raise BadConfiguration("NO_LLAMA", _last_lines(done.stderr, 1))
        if done.returncode == -signal.SIGKILL:
            raise OutOfMemory(message=f"llama.cpp was killed over {model}: its memory does not hold the model")
        if done.returncode == -signal.SIGTERM:
            raise Interrupted(message=f"llama.cpp was asked to stop over {model}")
        if done.returncode:
            raise BadConfiguration("LLAMA_FAILED", f"{_how(done.returncode)} {model}: {_last_lines(done.stderr, 3)}")
        return path.read_text(encoding="utf-8")


def _how(code: int) -> str:
    if code == llama_process.NOT_LOADED:
        return "llama.cpp does not load"
    return f"llama.cpp was ended by signal {-code} on" if code < 0 else f"llama.cpp failed (exit {code}) on"


def _perplexity(loss: float, predicted: int) -> float:
    if not predicted:
        return math.nan
    try:
        return math.exp(loss / predicted)
    except OverflowError:
        return math.inf


def _last_lines(data: bytes, count: int) -> str:
    lines = [line.strip() for line in data.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing"
