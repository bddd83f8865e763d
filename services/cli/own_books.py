"""A user's own texts, on their way into a run."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from services.cli.client import Client
from services.cli.text_files import bodies, find_texts
from services.common.errors import InvalidInput

_INLINE = 100  # books that a request names itself; a longer list travels as an object
_LIMIT = 64 << 20  # bytes of a text; ingest takes no more


def add(client: Client, spec: dict[str, Any], paths: list[Path], console: Console) -> None:
    """Uploads texts and names them in a run's spec.

    Args:
        client: to the gateway.
        spec: of the run; its `books`, or `book_list` for many, are filled in.
        paths: files, folders (any depth) and archives of texts.
        console: where progress goes.

    Raises:
        InvalidInput: `NO_TEXTS`: there is none; `TOO_LARGE`: one is no book.
    """
    texts = find_texts(paths)
    uris: dict[str, str] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("uploading", total=len(texts))
        for text, body in bodies(texts, _LIMIT):
            if len(body) > _LIMIT:
                raise InvalidInput("TOO_LARGE", f"{text.source!r} has more than {_LIMIT:,} bytes: it is no book")
            uris[text.source] = f"upload:{client.upload_bytes(body)}"
            progress.advance(task)
    books = [{"uri": uris[text.source], "title": Path(text.name).stem} for text in texts]
    # Two files of one content are one book.
    unique = {book["uri"]: book for book in reversed([*spec.get("books", ()), *books])}
    spec["books"] = list(reversed(unique.values()))
    if len(spec["books"]) > _INLINE:
        data = json.dumps({"books": spec.pop("books")}).encode()
        sha256 = client.upload_bytes(data)
        spec["book_list"] = {"key": f"uploads/{sha256}", "sha256": sha256, "size_bytes": str(len(data))}
