"""Values as HTML: everything that comes from a book, a user or a server is escaped here and nowhere else."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Markup = str
"""Text that is HTML already; only functions of this package make it."""


def text(value: Any, limit: int = 2000) -> Markup:
    """Gives a value as text; None is nothing."""
    if value is None:
        return ""
    shown = "".join(c for c in str(value)[:limit] if c.isprintable() or c in "\n\t")
    return html.escape(shown) + ("…" if len(str(value)) > limit else "")


def number(value: Any, digits: int = 0) -> Markup:
    """Gives a number with thousands apart; a dash where there is none."""
    found = as_number(value)
    return "–" if found is None else f"{found:,.{digits}f}"


def percent(part: Any, whole: Any) -> Markup:
    """Gives a share of a whole; a dash where there is none."""
    one, all_ = as_number(part), as_number(whole)
    return "–" if one is None or not all_ else f"{one / all_:.1%}"


def seconds(value: Any) -> Markup:
    """Gives a time for a person."""
    found = as_number(value)
    if found is None:
        return "–"
    if found < 60:
        return f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def size(value: Any) -> Markup:
    """Gives bytes for a person."""
    found = as_number(value)
    if found is None:
        return "–"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(found) < 1024:
            return f"{found:,.0f} bytes" if unit == "bytes" else f"{found:,.1f} {unit}"
        found /= 1024
    return f"{found:,.1f} TiB"


def digest(value: Any) -> Markup:
    """Gives a digest, shortened to the eye and whole to a click and a copy."""
    whole = text(value, 128)
    return f'<code class="digest" title="{whole}">{whole}</code>' if whole else "–"


def link(address: Any) -> Markup:
    """Gives an address as a link if it is one of the web's, else as text."""
    shown = text(address, 500)
    if shown.startswith(("https://", "http://")):
        return f'<a href="{shown}" rel="noreferrer noopener">{shown}</a>'
    return f"<code>{shown}</code>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Markup]], numeric: Sequence[int] = ()) -> Markup:
    """Gives a table of cells that are HTML already; nothing when there is no row.

    Args:
        caption: says what it shows, for who does not see the heading above it.
        head: names of columns.
        rows: cells.
        numeric: columns that are set to the right.
    """
    mark = [' class="n"' if column in numeric else "" for column in range(len(head))]
    body = "".join(
        "<tr>" + "".join(f"<td{mark[column]}>{cell}</td>" for column, cell in enumerate(row)) + "</tr>" for row in rows
    )
    if not body:
        return ""
    heads = "".join(f'<th scope="col"{mark[column]}>{text(name)}</th>' for column, name in enumerate(head))
    named = text(caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{named}"><table><caption>{named}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def tree(value: Any, depth: int = 0) -> Markup:
    """Gives nested data as nested lists."""
    if depth > 8:
        return "…"
    if isinstance(value, Mapping):
        items = "".join(f"<dt>{text(k)}</dt><dd>{tree(v, depth + 1)}</dd>" for k, v in value.items())
        return f"<dl>{items}</dl>" if items else "–"
    if isinstance(value, (list, tuple)):
        items = "".join(f"<li>{tree(v, depth + 1)}</li>" for v in value)
        return f"<ol>{items}</ol>" if items else "–"
    if isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdef" for c in value):
        return digest(value)
    return text(value)


def as_number(value: Any) -> float | None:
    """Gives a finite number, or None; 64-bit numbers travel as text in proto's JSON."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Gives a mapping, an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def as_rows(value: Any) -> list[Mapping[str, Any]]:
    """Gives a list of mappings, without what is none."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []
