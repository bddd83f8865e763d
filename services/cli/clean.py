"""`bookmill clean`: the cleaning rules on files, with no service running."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.clean.cleaning import Options, clean_bytes
from services.cli import exits
from services.cli.text_files import TextFile, bodies, find_texts
from services.common.errors import InvalidInput, Refused
from services.common.writing import replacing


def clean(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Texts, folders or archives of texts.")],
    output: Annotated[Path, typer.Option(help="Folder for the clean texts, each under its own name.")],
    report: Annotated[Path | None, typer.Option(help="A JSON file: what each rule removed, what was refused.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Clean texts as the service does: frame, credits, notes and marks out, lines joined to paragraphs.

    A refused text is absent from the output and named in the report. Exits with 1 when no text was cleaned.
    """
    raise typer.Exit(clean_files(paths, output, report, workers=workers))


@dataclass(slots=True)
class _Result:
    """What became of the texts so far."""

    books: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def clean_files(
    paths: Sequence[Path],
    output: Path,
    report: Path | None = None,
    *,
    workers: int = 0,
    options: Options | None = None,
    console: Console | None = None,
) -> int:
    """Cleans texts into a folder.

    Args:
        paths: files, folders (any depth) and archives (zip, tar) of texts.
        output: made if needed. A refused text's name is absent from it afterwards, from an earlier call too.
        report: a JSON file with the report of each text, and the refused ones with their reasons.
        workers: processes; 0 is one a core.
        options: limits; the service's defaults where absent.
        console: for progress; standard error where absent.

    Returns:
        The exit code: 0, or 1 when every text was refused.

    Raises:
        InvalidInput: `NO_SUCH_FILE`, `BAD_ARCHIVE`, `NO_TEXTS`, `SAME_NAME`; `OUTPUT_IS_INPUT` where a text would be
            overwritten by its own clean form.
        Exhausted: `DISK_FULL`.
    """
    console = console or Console(stderr=True)
    options = options or Options()
    texts = find_texts(paths)
    _check_output(texts, output)
    output.mkdir(parents=True, exist_ok=True)
    result = _Result()
    columns = (TextColumn("cleaning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("cleaning", total=len(texts))
        for text, done in _cleaned(texts, options, workers or os.cpu_count() or 1):
            _keep(text, done, output, result)
            progress.advance(task)
    if report is not None:
        _write_report(report, result)
    _tell(console, result, output)
    return exits.OK if result.books else exits.FAILED


_IN_FLIGHT = 2
"""Texts a process that are read ahead: enough that none waits, and memory stays bounded."""

_Done = tuple[str, dict[str, Any]] | Refused


def _check_output(texts: Sequence[TextFile], output: Path) -> None:
    for text in texts:
        target = output / text.name
        if not text.member and target.exists() and target.samefile(text.path):
            raise InvalidInput(
                "OUTPUT_IS_INPUT", f"{str(output)!r} holds the text {text.name!r} itself: name another folder"
            )


def _cleaned(texts: Sequence[TextFile], options: Options, workers: int) -> Iterator[tuple[TextFile, _Done]]:
    """Gives each text's clean form or refusal, in the order in which they are done."""
    read = bodies(texts, 4 * options.max_characters)
    workers = min(workers, len(texts))
    if workers == 1:
        yield from ((text, _clean_one(raw, options)) for text, raw in read)
        return
    # Spawned, as in the services: a fork copies the threads' locks of the progress display.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt)
    try:
        pending: dict[Future[_Done], TextFile] = {}
        for text, raw in read:
            pending[pool.submit(_clean_one, raw, options)] = text
            if len(pending) >= _IN_FLIGHT * workers:
                yield from _take(pending)
        while pending:
            yield from _take(pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(pending: dict[Future[_Done], TextFile]) -> Iterator[tuple[TextFile, _Done]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending.pop(future), future.result()


def _ignore_interrupt() -> None:
    # Ctrl-C reaches every process of the terminal; the parent ends the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _clean_one(raw: bytes, options: Options) -> _Done:
    try:
        cleaned = clean_bytes(raw, options)
    except Refused as refusal:
        return refusal
    return cleaned.text, cleaned.report.to_json()


def _keep(text: TextFile, done: _Done, output: Path, result: _Result) -> None:
    target = output / text.name
    named = {"name": text.name, "source": text.source}
    if isinstance(done, Refused):
        target.unlink(missing_ok=True)
        result.refused.append({**named, "reason": done.reason, "message": done.message})
        return
    prose, report = done
    with replacing(target) as file:
        file.write(prose.encode())
    result.books.append({**named, **report})


def _write_report(path: Path, result: _Result) -> None:
    removed: dict[str, int] = {}
    for book in result.books:
        for rule in book["rules"]:
            removed[rule["name"]] = removed.get(rule["name"], 0) + rule["characters"]
    value = {
        "characters_in": sum(book["characters_in"] for book in result.books),
        "characters_out": sum(book["characters_out"] for book in result.books),
        "removed": removed,
        "books": sorted(result.books, key=lambda book: book["name"]),
        "refused": sorted(result.refused, key=lambda book: book["name"]),
    }
    with replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n")


def _tell(console: Console, result: _Result, output: Path) -> None:
    for book in sorted(result.refused, key=lambda book: book["name"]):
        console.print(f"refused {book['name']}: {book['message']} [{book['reason']}]", markup=False, soft_wrap=True)
    console.print(f"{len(result.books)} texts in {output}, {len(result.refused)} refused", markup=False)
