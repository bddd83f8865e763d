"""The table at the end of a run."""

from collections.abc import Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.cli.display import duration, size


def show_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Prints what a run did: books, cleaning, dataset, perplexities, files, samples.

    Args:
        console: where to print.
        summary: the run's `summary.json`; parts that a run did not reach may be missing.
    """
    title = f"{summary.get('run', 'run')}: {str(summary.get('state', '')).removeprefix('STATE_').lower()}"
    console.print(_overview(summary, title))
    for refusal in summary.get("refusals", []):
        book = refusal.get("title") or refusal.get("book", "")
        console.print(
            f"  refused: {escape(str(book))} — {refusal.get('reason')}: {escape(str(refusal.get('message', '')))}",
            highlight=False,
        )
    for sample in summary.get("samples", []):
        base, tuned = (escape(str(sample.get(name, ""))) for name in ("base", "tuned"))
        width = max(30, (console.width - 4) // 2)
        console.print(f"\n[bold]{escape(str(sample.get('prompt', '')))}[/] …")
        console.print(Columns([Panel(base, title="base", width=width), Panel(tuned, title="tuned", width=width)]))


def _overview(summary: Mapping[str, Any], title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    books = summary.get("books", [])
    refused = len(summary.get("refusals", []))
    asked = summary.get("asked")
    said = f"{len(books):,} used, {refused:,} refused" + (f", {int(asked):,} asked for" if asked else "")
    table.add_row("books", said)
    _characters(table, books)
    _dataset(table, summary.get("dataset") or {}, books)
    training = summary.get("training") or {}
    if training:
        loss = training.get("final_loss")
        said = f"{int(training.get('steps', 0)):,} steps, {int(training.get('tokens', 0)):,} tokens"
        table.add_row("training", said + (f", loss {float(loss):.3f}" if loss is not None else ""))
        if training.get("perplexity_before") is not None and training.get("perplexity_after") is not None:
            before, after = float(training["perplexity_before"]), float(training["perplexity_after"])
            table.add_row("held out", f"perplexity {before:.3f} before, {after:.3f} after")
    for row in summary.get("perplexities", []):
        table.add_row(f"  {row['subject']}", f"perplexity {float(row['value']):.4f} of {int(row['tokens']):,} tokens")
    for file in summary.get("files", []):
        table.add_row(escape(str(file["name"])), f"{size(float(file['size']))}  {file['sha256']}")
    for publication in summary.get("publications", []):
        how = "would be sent" if publication.get("dry_run") else "sent"
        table.add_row("publication", f"{escape(str(publication.get('address', '')))} ({how})")
    seconds = sum(float(stage.get("seconds", 0)) for stage in summary.get("stages", []))
    table.add_row("time", f"{duration(seconds)} in stages")
    table.add_row("verified", "[green]yes[/]" if summary.get("verified") else "[red]no[/]")
    return table


def _characters(table: Table, books: list[Mapping[str, Any]]) -> None:
    came = sum(int(b.get("characters_in", 0)) for b in books)
    if not came:
        return
    left = sum(int(b.get("characters_out", 0)) for b in books)
    table.add_row("characters", f"{came:,} in, {left:,} of prose out")
    removed: dict[str, int] = {}
    for book in books:
        for rule, count in (book.get("removed") or {}).items():
            removed[rule] = removed.get(rule, 0) + int(count)
    for rule, count in removed.items():
        if count:
            table.add_row(f"  {escape(rule)}", f"removed {count:,}")


def _dataset(table: Table, dataset: Mapping[str, Any], books: list[Mapping[str, Any]]) -> None:
    chunks = sum(int(b.get("chunks", 0)) for b in books if not isinstance(b.get("chunks"), (dict, str)))
    splits = dataset.get("splits", [])
    said = ", ".join(f"{s['name']} {int(s.get('rows', 0)):,} of {int(s.get('books', 0)):,} books" for s in splits)
    if splits:
        chunks = chunks or sum(int(s.get("rows", 0)) for s in splits)
        table.add_row("chunks", f"{chunks:,}: {said}; {int(dataset.get('duplicates', 0)):,} duplicates left out")
