"""The sections of a run's page, in the order to read. Each gives nothing where its stage was not reached."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from services.gateway.report.charts import Bar, bars, line
from services.gateway.report.html import (
    Markup,
    as_mapping,
    as_number,
    as_rows,
    digest,
    link,
    number,
    percent,
    seconds,
    size,
    table,
    text,
    tree,
)

Summary = Mapping[str, Any]

_STATES = {
    "SUCCEEDED": ("good", "✓ succeeded"),
    "FAILED": ("bad", "✗ failed"),
    "CANCELLED": ("wait", "■ cancelled"),
    "RUNNING": ("wait", "… running"),
    "PENDING": ("wait", "○ waiting"),
}
_AGAINST = {"merged": ("adapter", "merged"), "f16": ("merged", "f16")}
_SUBJECTS = {"base": "base model", "adapter": "with adapter", "merged": "merged", "f16": "GGUF f16"}


def head(summary: Summary) -> Markup:
    """Name, state, and the figures that most are after."""
    spec = as_mapping(summary.get("spec"))
    books, refusals = as_rows(summary.get("books")), as_rows(summary.get("refusals"))
    given, left = _sum(books, "characters_in"), _sum(books, "characters_out")
    training = as_mapping(summary.get("training"))
    figures = {row.get("subject"): row for row in as_rows(summary.get("perplexities"))}
    before = as_mapping(figures.get("base")).get("value", training.get("perplexity_before"))
    after = as_mapping(figures.get("adapter")).get("value", training.get("perplexity_after"))
    facts = [
        (f"{len(books):,}", "books used" + (f", {len(refusals):,} set aside" if refusals else "")),
        (number(left), f"characters of {number(given)}"),
        (number(_sum(books, "chunks")), "chunks"),
        (number(training.get("steps")), f"training steps, {number(training.get('tokens'))} tokens"),
        (f"{number(before, 2)} → {number(after, 2)}", "perplexity of held-out text"),
        *((size(f.get("size")), text(f.get("name"), 60)) for f in _ggufs(summary)[:1]),
    ]
    tiles = "".join(f"<li><b>{value}</b><span>{what}</span></li>" for value, what in facts)
    topic = text(spec.get("topic"), 200) or "books named one by one"
    reason = as_mapping(summary.get("reason"))
    why = f"<p><code>{text(reason.get('reason'))}</code> {text(reason.get('message'))}</p>" if reason else ""
    return (
        f"<header><p class=soft>Bookmill run <code>{text(summary.get('run'), 120)}</code></p><h1>{topic}</h1>"
        f"<p>{_state(summary.get('state'))}{_verified(summary)}</p>{why}<ul class=facts>{tiles}</ul></header>"
    )


def chain(summary: Summary) -> Markup:
    """The stages as a chain with what each counted."""
    stages = as_rows(summary.get("stages"))
    if not stages:
        return ""
    items = []
    for stage in stages:
        counts = "".join(
            f"<li>{number(v)} {text(str(k).replace('_', ' '), 40)}</li>"
            for k, v in as_mapping(stage.get("counts")).items()
        )
        took = "from the record" if stage.get("recorded") is True else seconds(stage.get("seconds"))
        refused = as_number(stage.get("refused"))
        aside = f"<li>{number(refused)} set aside</li>" if refused else ""
        reason = as_mapping(stage.get("reason"))
        why = f"<li class=bad>{text(reason.get('reason'))}</li>" if reason else ""
        items.append(
            f"<li><strong>{text(stage.get('name'), 40)}</strong>{_state(stage.get('state'))}"
            f"<div class=did>{took}</div><ul>{counts}{aside}{why}</ul></li>"
        )
    return f"<section><h2>The chain</h2><ol class=chain>{''.join(items)}</ol></section>"


def quality(summary: Summary) -> Markup:
    """Perplexities, with the bounds that had to hold, and the loss."""
    rows = [r for r in as_rows(summary.get("perplexities")) if as_number(r.get("value")) is not None]
    parts = []
    if rows:
        told = f"Perplexity on {number(rows[0].get('tokens'))} held-out tokens; lower is better"
        shown = [
            Bar(_subject(r), as_number(r.get("value")) or 0, number(r.get("value"), 3), r.get("subject") == "base")
            for r in rows
        ]
        parts.append(bars(told, shown))
        parts.append(_agreement(rows, as_mapping(summary.get("bounds"))))
    training = as_mapping(summary.get("training"))
    points = [
        (step, loss)
        for row in as_rows(training.get("loss_curve"))
        if (step := as_number(row.get("step"))) is not None and (loss := as_number(row.get("loss"))) is not None
    ]
    parts.append(line("Training loss by step", sorted(points), "step", "loss"))
    body = "".join(parts)
    return f"<section><h2>How good it is</h2>{body}</section>" if body else ""


def samples(summary: Summary) -> Markup:
    """What base and tuned model made of the same beginnings."""
    parts = []
    for row in as_rows(summary.get("samples")):
        given = f"<span class=given>{text(row.get('prompt'))}</span>"
        sides = "".join(
            f"<div class=sample><b>{name}</b><pre>{given}{text(row.get(field), 8000)}</pre></div>"
            for name, field in (("Base model", "base"), ("Tuned model", "tuned"))
        )
        parts.append(f"<div class=pair>{sides}</div>")
    return f"<section><h2>Samples, same seed</h2>{'<br>'.join(parts)}</section>" if parts else ""


def cleaning(summary: Summary) -> Markup:
    """What each rule removed."""
    books = as_rows(summary.get("books"))
    removed: Counter[str] = Counter()
    for book in books:
        for rule, count in as_mapping(book.get("removed")).items():
            removed[str(rule)] += int(as_number(count) or 0)
    given = _sum(books, "characters_in")
    rows = [
        Bar(rule.replace("_", " "), count, f"{count:,} ({percent(count, given)})")
        for rule, count in sorted(removed.items(), key=lambda item: (-item[1], item[0]))
        if count > 0
    ]
    chart = bars("Characters removed by each rule, and their share of what came in", rows)
    return f"<section><h2>What cleaning removed</h2>{chart}</section>" if chart else ""


def books(summary: Summary) -> Markup:
    """Books and what was set aside."""
    rows = [
        (
            text(b.get("title"), 200) or "–",
            text(", ".join(map(str, b.get("authors") or ())), 200)
            if isinstance(b.get("authors"), (list, tuple))
            else "",
            f"<code>{text(b.get('uri'), 200)}</code>",
            number(b.get("characters_in")),
            number(b.get("characters_out")),
            percent(b.get("characters_out"), b.get("characters_in")),
            number(b.get("chunks")),
            text(b.get("split"), 20),
            digest(b.get("clean")),
        )
        for b in as_rows(summary.get("books"))
    ]
    columns = ("Title", "Authors", "Source", "Characters", "Clean", "Kept", "Chunks", "Split", "SHA-256")
    shown = table("Books that were used", columns, rows, (3, 4, 5, 6))
    aside = [
        (
            text(r.get("title"), 200) or text(r.get("book"), 200),
            text(r.get("stage"), 40),
            f"<code>{text(r.get('reason'), 80)}</code>",
            text(r.get("message"), 400),
        )
        for r in as_rows(summary.get("refusals"))
    ]
    set_aside = table("Books that were set aside", ("Book", "Stage", "Reason", "What it means"), aside)
    splits = [
        (text(s.get("name")), number(s.get("rows")), number(s.get("books")), number(s.get("characters")))
        for s in as_rows(as_mapping(summary.get("dataset")).get("splits"))
    ]
    split = table("Splits of the dataset", ("Split", "Chunks", "Books", "Characters"), splits, (1, 2, 3))
    parts = [part for part in (set_aside, split) if part]
    asked = as_number(summary.get("asked"))
    fewer = (
        f"<p>{len(rows):,} of the {asked:,.0f} books that were asked for.</p>" if asked and asked > len(rows) else ""
    )
    return f"<section><h2>Books</h2>{fewer}{shown}{''.join(parts)}</section>" if shown or parts else ""


def files(summary: Summary) -> Markup:
    """Files to take away, and where they were published."""
    rows = [
        (f"<code>{text(f.get('name'), 200)}</code>", size(f.get("size")), digest(f.get("sha256")))
        for f in as_rows(summary.get("files"))
    ]
    shown = table("Files of the run", ("File", "Size", "SHA-256"), rows, (1,))
    published = "".join(
        f"<li>{text(p.get('what') or p.get('kind') or 'published', 40)}: {link(p.get('address'))}"
        + (
            " (dry run: nothing was sent)"
            if p.get("dry_run") is True
            else f" {digest(p.get('commit'))}" * bool(p.get("commit"))
        )
        + f", {len(as_rows(p.get('files'))):,} files</li>"
        for p in as_rows(summary.get("publications"))
    )
    sent = f"<h3>Published</h3><ul>{published}</ul>" if published else ""
    return f"<section><h2>Files</h2>{shown}{sent}</section>" if shown or sent else ""


def lineage(summary: Summary) -> Markup:
    """Digests of every stage and the way back to the books, folded."""
    parts = []
    rows = [
        (text(stage.get("name")), text(name), digest(value))
        for stage in as_rows(summary.get("stages"))
        for name, value in as_mapping(stage.get("digests")).items()
    ]
    digests = table("Digests of the stages' results", ("Stage", "Result", "SHA-256"), rows)
    if digests:
        parts.append(digests)
    if summary.get("lineage"):
        parts.append(f"<details><summary>From the books to the model</summary>{tree(summary['lineage'])}</details>")
    if summary.get("spec"):
        spec = json.dumps(summary["spec"], indent=2, sort_keys=True, ensure_ascii=False, default=str)
        parts.append(f"<details><summary>What was asked for</summary><pre>{text(spec, 20_000)}</pre></details>")
    return f"<section><h2>Digests and lineage</h2>{''.join(parts)}</section>" if parts else ""


def _state(state: Any) -> Markup:
    name = str(state or "").removeprefix("STATE_").upper()
    kind, shown = _STATES.get(name, ("soft", text(name.lower()) or "unknown"))
    return f'<span class="state {kind}">{shown}</span>'


def _verified(summary: Summary) -> Markup:
    if summary.get("verified") is True:
        return '<span class="state good">✓ verified</span>'
    failed = summary.get("not_verified")
    why = ", ".join(map(str, failed)) if isinstance(failed, (list, tuple)) else ""
    return f'<span class="state bad">✗ not verified</span>{text(why, 500)}'


def _agreement(rows: list[Mapping[str, Any]], bounds: Mapping[str, Any]) -> Markup:
    values = {str(row.get("subject")): as_number(row.get("value")) for row in rows}
    shown = []
    for subject, one in values.items():
        if subject in ("base", "adapter"):
            continue
        against, bound = _AGAINST.get(subject, ("f16", "quantized"))
        other, limit = values.get(against), as_number(bounds.get(bound))
        if one is None or not other or limit is None:
            continue
        apart = abs(one / other - 1)
        mark = "<span class=good>✓ holds</span>" if apart <= limit else "<span class=bad>✗ too far</span>"
        names = (_SUBJECTS.get(subject, f"GGUF {subject}"), _SUBJECTS.get(against, against))
        shown.append((text(names[0]), text(names[1]), f"{apart:.3%}", f"{limit:.3%}", mark))
    return table("Parity: how far figures lie apart", ("Model", "Against", "Apart", "At most", ""), shown, (2, 3))


def _subject(row: Mapping[str, Any]) -> str:
    subject = str(row.get("subject"))
    return _SUBJECTS.get(subject, f"GGUF {subject}")


def _ggufs(summary: Summary) -> list[Mapping[str, Any]]:
    return [f for f in as_rows(summary.get("files")) if str(f.get("name")).endswith(".gguf")]


def _sum(rows: list[Mapping[str, Any]], field: str) -> float:
    return sum(as_number(row.get(field)) or 0 for row in rows)
