"""`bookmill download`: a run's results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from services.cli.client import Client
from services.cli.options import DEFAULT_SERVER, RunName, Server, Token, run_id
from services.common.errors import NotFound
from services.common.storage import hash_file


def download(
    run: RunName,
    output: Annotated[Path, typer.Option(help="Folder for the files.")],
    file: Annotated[list[str] | None, typer.Option(help="Only this file; may be repeated.")] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Get a run's GGUF, Modelfile, dataset, adapter and report, each verified by its SHA-256."""
    client = Client(server, token)
    state = client.run(run_id(run))
    if file:
        there = [f["name"] for f in state.get("files", [])]
        for name in file:
            if name not in there:
                choices = ", ".join(there)
                raise NotFound("NO_SUCH_FILE", f"run {run!r} has no file {name!r}; it has {choices}", choices=choices)
        state = {**state, "files": [f for f in state["files"] if f["name"] in file]}
    download_all(client, state, output, Console(stderr=True))


def download_all(client: Client, run: Mapping[str, Any], output: Path, console: Console) -> None:
    """Downloads every file of a run; one that is there and right is not fetched again.

    Args:
        client: to the gateway.
        run: as the gateway tells it, with `name` and `files`.
        output: a folder; made if needed.
        console: where progress goes.
    """
    files = run.get("files", [])
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("downloading", total=sum(int(f["file"].get("size_bytes", 0)) for f in files))
        for file in files:
            name, wanted = file["name"], file["file"]
            target = output / name
            progress.update(task, description=name)
            if target.is_file() and hash_file(target)[0] == wanted["sha256"]:
                progress.advance(task, int(wanted.get("size_bytes", 0)))
                continue
            for block in client.download(run_id(run["name"]), name, wanted["sha256"], target):
                progress.advance(task, block)
    console.print(f"{len(files)} files in {output}")
