"""Completion with llama.cpp, in a process of its own: llama.cpp ends its process on a file that it cannot read.

`python -m services.cli.generating` reads `{"model", "context_length", "prompt", "tokens", "temperature", "top_p",
"seed", "threads"}` as JSON on standard input and prints `{"text"}`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.common.errors import Refused

_SECONDS = 600.0


def complete(
    model: Path, prompt: str, tokens: int, temperature: float, top_p: float, seed: int, threads: int = 2
) -> str:
    """Completes a beginning.

    Args:
        model: a GGUF.
        prompt: the beginning, raw: no template is put around it.
        tokens: tokens to draw at the most.
        temperature: of sampling; 0 is greedy.
        top_p: nucleus.
        seed: of the sampling.
        threads: of arithmetic.

    Returns:
        How the text goes on.

    Raises:
        Refused: `NOT_A_MODEL`: llama.cpp cannot run the file.
    """
    asked = {
        "model": str(model),
        "prompt": prompt,
        "tokens": tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "threads": threads,
    }
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.generating"],
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        end = done.stderr.decode(errors="replace")[-300:]
        raise Refused("NOT_A_MODEL", f"llama.cpp cannot run {str(model)!r}: {end}")
    return str(json.loads(lines[-1])["text"])


def main() -> None:
    """Reads the request, prints the completion."""
    import xllamacpp  # llama.cpp, 100 MB: the process that calls `complete` does without

    asked = json.load(sys.stdin)
    params = xllamacpp.CommonParams()
    params.model.path = asked["model"]
    params.n_ctx = 2048
    params.warmup = False
    params.cpuparams.n_threads = asked["threads"]
    answers: list[dict[str, Any]] = []
    xllamacpp.Server(params).handle_completions(
        {
            "prompt": asked["prompt"],
            "max_tokens": asked["tokens"],
            "temperature": asked["temperature"],
            "top_p": asked["top_p"],
            "seed": asked["seed"],
        },
        answers.append,
    )
    answer = answers[-1]
    if "choices" not in answer:
        raise SystemExit(str(answer)[:300])
    print(json.dumps({"text": answer["choices"][0]["text"]}))


if __name__ == "__main__":
    main()
