"""`bookmill up`: all services on this machine."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.options import Data
from services.cli.stack import SERVICES, Stack, reading


def up(
    data: Data,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of REST and the web page; 0 for a free one.")
    ] = 8080,
    read: Annotated[
        list[Path] | None, typer.Option(exists=True, file_okay=False, help="A folder that file:PATH may read below.")
    ] = None,
) -> None:
    """Start every service on this machine, with an embedded store, until Ctrl-C."""
    console = Console(stderr=True)
    with console.status("starting the store and the services"):
        stack = Stack(data, http_port=port, settings=reading(read or ()))
        stack.__enter__()
    try:
        console.print(f"[green]up[/] at {stack.address}  (REST docs at {stack.address}/docs)")
        console.print(f"data and logs in {data}; services: {', '.join(SERVICES)}. Ctrl-C stops all of them.")
        wait_for_signal()
        console.print("stopping: jobs at work save a checkpoint first")
    finally:
        stack.__exit__()


def wait_for_signal() -> None:
    """Returns when this process is asked to stop (SIGINT or SIGTERM)."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
