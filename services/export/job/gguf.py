"""Makes a GGUF in 16 bits of a merged model's folder."""

from collections.abc import Callable
from pathlib import Path

from services.export.job.children import run_child
from services.jobs.exits import BadConfiguration
from services.jobs.signals import StopFlag

UNKNOWN_TOKENIZER = 3
"""Exit code of the converting process: llama.cpp has no pre-tokenizer that does what this tokenizer does."""

SECONDS_A_GIGABYTE = 300.0
"""Deadline of a conversion by the size of the model; it takes 10 s a GB on an idle machine."""

SECONDS = 600.0
"""Deadline of a conversion beside that: torch loads slowly from a cold disk."""

_PROCESS = "services.export.job.convert_process"  # a name: importing it would bring the converter in here


def convert(
    folder: Path, target: Path, name: str, stop: StopFlag, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Writes the GGUF `target`, which appears only when it is whole.

    Args:
        folder: a Hugging Face folder in 16 bits.
        target: the file to make.
        name: what the file calls the model (`general.name`).
        stop: ends it.
        progress: told bytes written and to be written, from time to time.

    Raises:
        BadConfiguration: `UNKNOWN_TOKENIZER`, or `CONVERSION_FAILED`: the architecture is unknown to llama.cpp.
        DeadlineExceeded: `TOO_SLOW`.
        OutOfMemory: memory does not hold what it needs.
        Interrupted: it was stopped.
    """
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    # The converter fills in {…} of a file's name, so it gets one of ours without any.
    partial = target.with_name("converting.part")
    request = {"folder": str(folder), "output": str(partial), "name": name}
    try:
        ended = run_child(
            _PROCESS,
            request,
            deadline=SECONDS + SECONDS_A_GIGABYTE * size / 1e9,
            stop=stop,
            tick=lambda: progress(partial.stat().st_size if partial.exists() else 0, size),
        )
        if ended.code == UNKNOWN_TOKENIZER:
            raise BadConfiguration("UNKNOWN_TOKENIZER", ended.said)
        if ended.code:
            raise BadConfiguration("CONVERSION_FAILED", f"the model cannot be converted to GGUF: {ended.said}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
