"""Charts as SVG that scale with the page and take their colours from its style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.report.html import Markup, text

_WIDTH = 720
_ROW = 34
_LABELS = 190
_VALUES = 150
_MOST_POINTS = 400  # more are not told apart at this width, and make the page heavy


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar."""

    label: str
    value: float
    shown: str
    """The value as written beside it."""
    muted: bool = False
    """What the others are compared with."""


def bars(title: str, rows: Sequence[Bar]) -> Markup:
    """Gives horizontal bars from zero, each with its value."""
    most = max((row.value for row in rows), default=0.0)
    if most <= 0:
        return ""
    height = len(rows) * _ROW + 8
    room = _WIDTH - _LABELS - _VALUES
    parts = []
    for index, row in enumerate(rows):
        y = 4 + index * _ROW
        length = max(2.0, row.value / most * room)
        kind = "bar muted" if row.muted else "bar"
        parts.append(
            f'<text class="label" x="{_LABELS - 10}" y="{y + 20}" text-anchor="end">{text(row.label, 26)}</text>'
            f'<rect class="{kind}" x="{_LABELS}" y="{y + 5}" width="{length:.1f}" height="20" rx="3">'
            f"<title>{text(row.label)}: {text(row.shown)}</title></rect>"
            f'<text class="value" x="{_LABELS + length + 8:.1f}" y="{y + 20}">{text(row.shown)}</text>'
        )
    axis = f'<line class="axis" x1="{_LABELS}" y1="0" x2="{_LABELS}" y2="{height}"/>'
    told = "; ".join(f"{row.label}: {row.shown}" for row in rows)
    return _figure(title, told, height, axis + "".join(parts))


def line(title: str, points: Sequence[tuple[float, float]], across: str, up: str) -> Markup:
    """Gives a line through points, with both axes.

    Args:
        title: what it shows.
        points: sorted by the first number.
        across: what the first number is.
        up: what the second is.
    """
    if len(points) < 2:
        return ""
    kept = _thinned(points)
    height, left, right, top, bottom = 280, 58, 96, 14, 44
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    rows = _ticks(min(ys), max(ys), 5)
    low, high = min(rows[0], min(ys)), max(rows[-1], max(ys))
    span = (max(xs) - min(xs)) or 1.0

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + (point[0] - min(xs)) / span * (_WIDTH - left - right)
        return x, top + (high - point[1]) / ((high - low) or 1.0) * (height - top - bottom)

    parts = []
    for value in rows:
        y = place((min(xs), value))[1]
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{_WIDTH - right}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _ticks(min(xs), max(xs), 6):
        if min(xs) <= value <= max(xs):
            x = place((value, low))[0]
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{value:g}</text>'
            )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, kept))
    x, y = place(kept[-1])
    parts.append(f'<polyline class="curve" points="{path}"/>')
    parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    parts.append(f'<text class="value" x="{x + 9:.1f}" y="{y + 4:.1f}">{kept[-1][1]:.3f}</text>')
    middle = (left + _WIDTH - right) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{height - 6}" text-anchor="middle">{text(across)}</text>')
    parts.append(f'<text class="tick" x="{left}" y="{top - 3}">{text(up)}</text>')
    told = f"{up} from {points[0][1]:.3f} at {across} {points[0][0]:g} to {points[-1][1]:.3f} at {points[-1][0]:g}"
    return _figure(title, told, height, "".join(parts))


def _figure(title: str, told: str, height: int, body: Markup) -> Markup:
    label = f"{text(title)}. {text(told)}"
    return (
        f'<figure><div class="wide"><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">'
        f"{body}</svg></div><figcaption>{text(title)}</figcaption></figure>"
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keeps the lowest and the highest of each stretch, so that no peak is lost."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    stretch = math.ceil(len(points) / (_MOST_POINTS / 2))
    kept: list[tuple[float, float]] = [points[0]]
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*kept, points[-1]]


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Gives round numbers that span a range (Heckbert's nice numbers, Graphics Gems, 1990)."""
    # A span below what a double can divide is drawn flat.
    flat = high - low <= 1e-9 * max(1.0, abs(high))
    step = 1.0 if flat else _nice((high - low) / about)
    first = math.floor(low / step)
    return [round(index * step, 10) for index in range(first, math.ceil(high / step) + 1)]


def _nice(value: float) -> float:
    base = float(10 ** math.floor(math.log10(value)))
    return next(n * base for n in (1, 2, 5, 10) if n * base >= value * 0.999)
