"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SERVER = "http://127.0.0.1:8080"
"""Where `bookmill up` serves."""


def default_data() -> Path:
    """Gives the folder of the local store: `bookmill` in the user's data folder (XDG Base Directory)."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "bookmill"


Server = Annotated[str, typer.Option("--server", envvar="BOOKMILL_SERVER", help="Address of a gateway.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Data = Annotated[
    Path,
    typer.Option("--data", envvar="BOOKMILL_DATA", help="Folder of the embedded store.", default_factory=default_data),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `bookmill runs` lists it.")]


def run_id(name: str) -> str:
    """Gives a run's id, of `runs/<id>` or of the id itself."""
    return name.removeprefix("runs/")
