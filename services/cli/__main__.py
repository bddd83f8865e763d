"""The `bookmill` command."""

import logging
import sys
from importlib.metadata import version as version_of

import typer

from services.cli import exits
from services.cli.clean import clean
from services.cli.commands.download import download
from services.cli.commands.models import models
from services.cli.commands.prune import prune
from services.cli.commands.run import run
from services.cli.commands.runs import cancel, delete, runs, show
from services.cli.commands.sample import sample
from services.cli.commands.up import up
from services.common.errors import BookmillError

_HELP = """From a topic to a verified text-completion model: books in, GGUF out.

Exit codes: 0 done and verified, 1 a run failed or is not verified, 2 wrong option, argument or setting,
3 no gateway or service answers, 4 declined by the gateway, 130 interrupted.
"""

app = typer.Typer(name="bookmill", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False)


def version() -> None:
    """Print the version."""
    print(version_of("bookmill"))


for _command in (up, run, runs, show, cancel, delete, download, models, clean, sample, prune, version):
    app.command()(_command)


def main() -> None:
    """Runs the command and exits with one of the documented codes."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except BookmillError as error:
        print(f"bookmill: {error}", file=sys.stderr)
        sys.exit(exits.code_of(error))


if __name__ == "__main__":
    main()
