"""`make demo`: the whole chain on this machine, from books to a verified GGUF.

`python -m deploy.examples.demo [--books PATH]` starts the embedded store, the services and a catalogue of the example
tales, makes one run with the `bookmill` command, and stops everything. The results lie in `build/demo`. It exits with
the code of `bookmill run`: 0 only when everything was verified.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from deploy.examples import catalogue
from deploy.examples.base_model import build_base_model
from services.cli.exits import INTERRUPTED
from services.cli.stack import Stack

OUTPUT = Path("build/demo")
"""Where the results lie, and below it the store, the logs and the base model."""

# Two sequences of 512 tokens a step take about four seconds on two cores.
_SIZES = ("--context-length=512", "--batch-size=2", "--gradient-accumulation=1", "--checkpoint-steps=20")
_MEASURES = ("--evaluation-tokens=2048", "--parity-tokens=1024", "--sample-tokens=60")
_PROMPTS = ("--prompt=The lamp went out, and in the dark", "--prompt=On the third night the captain")

# Says what would be sent, and sends nothing.
_PUBLICATIONS = (
    "--publish-dataset=your-name/books",
    "--publish-model=your-name/books-model",
    "--publish-ollama=books",
    "--dry-run",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m deploy.examples.demo", description=__doc__)
    parser.add_argument("--books", type=Path, help="real texts in place of the tales: a folder, or an archive of one")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the results")
    parser.add_argument("--max-steps", type=int, help="training steps at the most; 24 with --books, else all")
    given = parser.parse_args(arguments)
    if given.books is not None and not given.books.exists():
        parser.error(f"--books {str(given.books)!r} does not exist")
    begun = time.monotonic()
    output: Path = given.output.resolve()
    model = output / "base-model"
    if not model.exists():  # it appears when it is whole
        build_base_model(model, lambda line: print(line, file=sys.stderr))
    settings = {
        "BOOKMILL_INGEST_ROOTS": str(output),
        # The example catalogue is on loopback, which is refused unless it is named, and needs no politeness.
        "BOOKMILL_INGEST_EXEMPT_HOSTS": "127.0.0.1",
        "BOOKMILL_INGEST_SECONDS_BETWEEN_REQUESTS": "0",
        "BOOKMILL_INGEST_CATALOGUE_NAME": "examples",
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it stops the services as Ctrl-C does
    try:
        with ExitStack() as running:
            if given.books is None:
                shop = running.enter_context(catalogue.start(catalogue.TALES))
                settings |= {"BOOKMILL_INGEST_CATALOGUE_URL": shop.url, "BOOKMILL_INGEST_MIRRORS": shop.url}
                books = ["--topic=horror", "--books=20"]
            else:
                books = [f"--from={given.books}"]
            steps = given.max_steps if given.max_steps is not None else 0 if given.books is None else 24
            print("starting the store and the services", file=sys.stderr)
            stack = running.enter_context(Stack(output / "data", settings=settings))
            options = [
                *books,
                f"--base-model=file:{model}",
                f"--max-steps={steps}",
                *_SIZES,
                *_MEASURES,
                *_PROMPTS,
                *_PUBLICATIONS,
            ]
            command = ["run", f"--server={stack.address}", "--resume", *options, f"--output={output}"]
            print("$ bookmill", shlex.join(command), file=sys.stderr)
            program = Path(sysconfig.get_path("scripts")) / "bookmill"
            code = subprocess.run([program, *command], check=False).returncode
            print("stopping the services", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from what is done", file=sys.stderr)
        return INTERRUPTED
    print(f"{time.monotonic() - begun:.0f} s in all; results in {output}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
