"""`bookmill models`: what can be trained on, and what was made."""

import json

from rich.console import Console
from rich.table import Table

from services.cli.base_models import BASE_MODELS
from services.cli.client import Client
from services.cli.options import DEFAULT_SERVER, AsJson, Server, Token
from services.common.errors import Unavailable


def models(server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """List short names of base models, base models in the store, and finished models."""
    try:
        there = Client(server, token).models()
    except Unavailable:
        there = {}  # the short names are of use without a gateway
    if as_json:
        print(json.dumps({"short_names": BASE_MODELS, **there}))
        return
    console = Console()
    table = Table("short name", "base model", box=None)
    for name, uri in BASE_MODELS.items():
        table.add_row(name, uri)
    console.print(table)
    for title, rows in there.items():
        if isinstance(rows, list) and rows:
            columns = sorted({key for row in rows for key in row})
            listed = Table(*columns, title=title.replace("_", " "), title_justify="left", box=None)
            for row in rows:
                listed.add_row(*(str(row.get(key, "")) for key in columns))
            console.print(listed)
