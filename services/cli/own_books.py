"""A user's own texts, on their way into a run."""

import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from services.cli.client import Client
from services.common.errors import InvalidInput

_INLINE = 100  # books that a request names itself; a longer list travels as an object
_TEXT_SUFFIXES = {".txt", ".text", ".md", ""}


def add(client: Client, spec: dict[str, Any], paths: list[Path], console: Console) -> None:
    """Uploads texts and names them in a run's spec.

    Args:
        client: to the gateway.
        spec: of the run; its `books`, or `book_list` for many, are filled in.
        paths: files, folders (any depth) and archives (zip, tar) of texts.
        console: where progress goes.

    Raises:
        InvalidInput: `NO_TEXTS`: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="bookmill-") as scratch:
        texts = sorted(set(_texts(paths, Path(scratch))), key=lambda p: p.name)
        if not texts:
            named = ", ".join(str(p) for p in paths)
            raise InvalidInput("NO_TEXTS", f"no text ({', '.join(sorted(_TEXT_SUFFIXES - {''}))}) in {named}")
        books = []
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("uploading", total=len(texts))
            for path in texts:
                books.append({"uri": f"upload:{client.upload(path)}", "title": path.stem})
                progress.advance(task)
    spec["books"] = [*spec.get("books", ()), *books]
    if len(spec["books"]) > _INLINE:
        data = json.dumps({"books": spec.pop("books")}).encode()
        sha256 = client.upload_bytes(data)
        spec["book_list"] = {"key": f"uploads/{sha256}", "sha256": sha256, "size_bytes": str(len(data))}


def _texts(paths: list[Path], scratch: Path) -> Iterator[Path]:
    for number, path in enumerate(paths):
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file() and _is_text(p))
        elif zipfile.is_zipfile(path):
            target = scratch / str(number)
            with zipfile.ZipFile(path) as archive:
                archive.extractall(target)  # noqa: S202 (zipfile drops absolute and upward paths itself)
            yield from _texts([target], scratch)
        elif tarfile.is_tarfile(path):
            target = scratch / str(number)
            with tarfile.open(path) as tar:
                tar.extractall(target, filter="data")
            yield from _texts([target], scratch)
        else:
            yield path


def _is_text(path: Path) -> bool:
    return path.suffix.lower() in _TEXT_SUFFIXES and not path.name.startswith(".")
