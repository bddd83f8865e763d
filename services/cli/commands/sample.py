"""`bookmill sample`: what a run's model writes."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.client import Client
from services.cli.commands.download import download_all
from services.cli.generating import complete
from services.cli.options import DEFAULT_SERVER, AsJson, RunName, Server, Token, run_id
from services.common.errors import NotFound


def sample(
    run: RunName,
    prompt: Annotated[list[str] | None, typer.Option(help="A beginning; without one, the run's own samples.")] = None,
    tokens: Annotated[int, typer.Option(min=1, max=4096)] = 120,
    temperature: Annotated[float, typer.Option(min=0, max=5)] = 0.8,
    top_p: Annotated[float, typer.Option(min=0, max=1)] = 0.95,
    seed: Annotated[int, typer.Option(min=0)] = 3407,
    quantization: Annotated[str, typer.Option(help="Which file; the run's first if empty.")] = "",
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Show a run's samples, or complete your own beginnings with its GGUF on this machine."""
    client = Client(server, token)
    name = run_id(run)
    if not prompt:
        samples = json.loads(client.file(name, "summary.json")).get("samples", [])
    else:
        model = _model(client, name, quantization)
        samples = [{"prompt": p, "tuned": complete(model, p, tokens, temperature, top_p, seed)} for p in prompt]
    if as_json:
        print(json.dumps(samples, ensure_ascii=False))
        return
    console = Console()
    for each in samples:
        for kind in ("base", "tuned"):
            if kind in each:
                console.print(f"[bold]{kind}[/]", highlight=False)
                console.print(f"{each['prompt']}{each[kind]}\n", markup=False, highlight=False)


def _model(client: Client, run: str, quantization: str) -> Path:
    state = client.run(run)
    ggufs = [f for f in state.get("files", []) if f["name"].endswith(".gguf")]
    wanted = [f for f in ggufs if f".{quantization or 'q'}" in f["name"]]
    if not wanted:
        choices = ", ".join(f["name"] for f in ggufs)
        raise NotFound("NO_SUCH_MODEL", f"run {run!r} has no GGUF {quantization!r}; it has {choices}", choices=choices)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = base / "bookmill" / str(wanted[0]["file"]["sha256"])
    download_all(client, {"name": state["name"], "files": wanted[:1]}, cache, Console(stderr=True))
    name: str = wanted[0]["name"]
    return cache / name
