"""`bookmill prune`: free the store of what no run needs."""

import json
from typing import Annotated

import typer

from services.cli.client import Client
from services.cli.display import size
from services.cli.options import DEFAULT_SERVER, AsJson, Server, Token


def prune(
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    older_than_hours: Annotated[float, typer.Option(min=0, help="Younger objects stay.")] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove objects that no run refers to and that are older than a day."""
    answer = Client(server, token).prune(round(older_than_hours * 3600), dry_run)
    if as_json:
        print(json.dumps(answer))
        return
    objects, count = int(answer.get("objects", 0)), float(answer.get("size_bytes", 0))
    print(f"{'would remove' if dry_run else 'removed'} {objects:,} objects, {size(count)}")
