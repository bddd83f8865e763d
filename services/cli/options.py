"""Options that several commands share."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SERVER = "http://127.0.0.1:8080"
"""Where `bookmill up` serves."""


def read_token(file: str | None) -> str:
    """Gives the token that a file holds; without a file, that of the environment; without either, an empty one."""
    try:
        token = (Path(file).read_text(encoding="utf-8") if file else os.environ.get("BOOKMILL_TOKEN", "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file!r} cannot be read: {error}") from error
    if not re.fullmatch("[!-~]+" if file else "[!-~]*", token):
        raise typer.BadParameter(f"{file or 'BOOKMILL_TOKEN'!r} holds no token, which is one word of ASCII")
    return token


def default_data() -> Path:
    """Gives the folder of the local store: `bookmill` in the user's data folder (XDG Base Directory)."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "bookmill"


Server = Annotated[str, typer.Option("--server", envvar="BOOKMILL_SERVER", help="Address of a gateway.")]
Token = Annotated[
    str,
    typer.Option(
        "--token-file",
        envvar="BOOKMILL_TOKEN_FILE",
        metavar="FILE",
        help="Holds the token that the gateway asks for; or set BOOKMILL_TOKEN to the token itself.",
        callback=read_token,
        show_default=False,
    ),
]
"""The option takes a file, the command gets the token; empty for none."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Data = Annotated[
    Path,
    typer.Option("--data", envvar="BOOKMILL_DATA", help="Folder of the embedded store.", default_factory=default_data),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `bookmill runs` lists it.")]


def run_id(name: str) -> str:
    """Gives a run's id, of `runs/<id>` or of the id itself."""
    return name.removeprefix("runs/")
