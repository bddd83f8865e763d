"""`bookmill runs`, `show`, `cancel`, `delete`: look at runs and stop them."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.client import FINAL_STATES, Client
from services.cli.commands.run import follow
from services.cli.display import RunDisplay
from services.cli.options import DEFAULT_SERVER, AsJson, RunName, Server, Token, run_id
from services.cli.summary import show_summary


def runs(
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Runs at the most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    client = Client(server, token)
    found: list[dict[str, object]] = []
    page_token = ""
    while len(found) < limit:
        page = client.runs(page_size=min(100, limit - len(found)), page_token=page_token)
        found += page.get("runs", [])
        page_token = page.get("next_page_token", "")
        if not page_token:
            break
    if as_json:
        print(json.dumps(found))
        return
    table = Table("run", "state", "topic", "base model", "created (UTC)", box=None)
    for run in found:
        spec = run.get("spec")
        if isinstance(spec, dict):
            created = datetime.fromtimestamp(float(str(run.get("created_at", 0))), UTC)
            state = str(run.get("state", "")).removeprefix("STATE_").lower()
            topic = spec.get("topic") or "own books"
            table.add_row(
                run_id(str(run["name"])), state, topic, spec.get("base_model", ""), f"{created:%Y-%m-%d %H:%M:%S}"
            )
    Console().print(table)


def show(
    run: RunName,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it is final.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a run: its stages, and its summary when it is final."""
    client = Client(server, token)
    if watch:
        raise typer.Exit(follow(client, run_id(run), None, as_json, Console(stderr=True)))
    state = client.run(run_id(run))
    if as_json:
        print(json.dumps(state))
        return
    console = Console()
    with RunDisplay(console) as display:
        display.show(state)
    if state.get("state") in FINAL_STATES and state.get("summary"):
        show_summary(console, json.loads(client.file(run_id(run), "summary.json")))


def cancel(run: RunName, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Stop a run. What is done is recorded; the same run made again goes on from there."""
    state = Client(server, token).cancel(run_id(run))
    print(str(state.get("state", "")).removeprefix("STATE_").lower())


def delete(run: RunName, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Delete a finished run. What it shares with other runs stays; `bookmill prune` removes the rest."""
    Client(server, token).delete(run_id(run))
