"""The services of one machine with the example tales and a tiny base model, as a test runs the whole chain."""

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.examples import catalogue
from services.cli.stack import Stack
from tests.support.tiny_model import build_tiny_model

PROGRAM = Path(sysconfig.get_path("scripts")) / "bookmill"

SIZES = (
    "--context-length=128",
    "--batch-size=2",
    "--gradient-accumulation=1",
    "--checkpoint-steps=10",
    "--max-steps=40",
    "--chunk-characters=2000",
    "--evaluation-tokens=1024",
    "--parity-tokens=512",
    "--sample-tokens=8",
)
"""Options of a run that takes seconds."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A running stack, and the command that uses it."""

    stack: Stack
    model: Path

    def run(self, *options: str, output: Path) -> tuple[int, dict[str, Any]]:
        """Makes a run as a user does.

        Returns:
            The exit code, and `summary.json`.
        """
        done = self.command("run", *self.options(*options), "--json", f"--output={output}")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def options(self, *options: str) -> list[str]:
        """Gives the options of `bookmill run`: the tales, the tiny model, small sizes, and those given."""
        books = [] if any(o.startswith(("--topic", "--from", "--book=")) for o in options) else ["--topic=horror"]
        return [*books, f"--base-model=file:{self.model}", *SIZES, *options]

    def command(self, *words: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Runs `bookmill` against the stack."""
        environment = {**os.environ, "BOOKMILL_SERVER": self.stack.address}
        return subprocess.run(
            [PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts `bookmill` and does not wait for it."""
        environment = {**os.environ, "BOOKMILL_SERVER": self.stack.address}
        return subprocess.Popen(
            [PROGRAM, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background job, tests among them, ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@contextmanager
def running_chain(folder: Path) -> Iterator[Chain]:
    """Starts the catalogue of tales and every service, with their data in a folder."""
    model = folder / "tiny-model"
    if not model.exists():
        build_tiny_model(model)
    with catalogue.start(catalogue.TALES) as shop:
        settings = {
            "BOOKMILL_INGEST_ROOTS": str(folder),
            "BOOKMILL_INGEST_EXEMPT_HOSTS": "127.0.0.1",
            "BOOKMILL_INGEST_SECONDS_BETWEEN_REQUESTS": "0",
            "BOOKMILL_INGEST_CATALOGUE_NAME": "examples",
            "BOOKMILL_INGEST_CATALOGUE_URL": shop.url,
            "BOOKMILL_INGEST_MIRRORS": shop.url,
            # A tiny random model's numbers say little of rounding, which is measured elsewhere.
            "BOOKMILL_EXPORT_BOUND_QUANTIZED": "0.5",
        }
        with Stack(folder / "data", settings=settings) as stack:
            yield Chain(stack, model)


def digests(summary: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Gives what a run made, by stage: what must not depend on when, how often or how interrupted it was made."""
    made = {s["name"]: s.get("digests", {}) for s in summary["stages"] if s["name"] not in {"report", "publish"}}
    assert any(made.values()), summary
    return made


def options_of(files: Sequence[Path]) -> list[str]:
    """Gives the options that name texts of one's own."""
    return [f"--from={file}" for file in files]
