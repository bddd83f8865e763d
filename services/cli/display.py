"""A run as it goes on, on a terminal or as plain lines."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_MARKS = {
    "STATE_UNSPECIFIED": ("·", "dim"),
    "STATE_PENDING": ("·", "dim"),
    "STATE_RUNNING": ("▶", "cyan"),
    "STATE_CANCELLING": ("◼", "yellow"),
    "STATE_SUCCEEDED": ("✓", "green"),
    "STATE_FAILED": ("✗", "red"),
    "STATE_CANCELLED": ("◼", "yellow"),
}
_PLAIN_SECONDS = 10.0  # between lines of one stage where there is no terminal to draw on


@dataclass(slots=True)
class _Pace:
    """Measures a stage's rate over the last half minute."""

    seen: list[tuple[float, float]] = field(default_factory=list)

    def rate(self, completed: float) -> float:
        now = time.monotonic()
        if self.seen and completed < self.seen[-1][1]:
            self.seen.clear()  # a new activity of the same stage counts from 0
        self.seen.append((now, completed))
        while len(self.seen) > 2 and now - self.seen[0][0] > 30:
            del self.seen[0]
        (begun, first), (last, latest) = self.seen[0], self.seen[-1]
        return (latest - first) / (last - begun) if last - begun > 0.5 else 0.0


class RunDisplay:
    """Shows a run until it is final. A context manager.

    Args:
        console: where to draw; without a terminal each change of a stage is a line.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._paces: dict[str, _Pace] = {}
        self._printed: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> "RunDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, run: Mapping[str, Any]) -> None:
        """Draws the run as it is now."""
        stages = run.get("stages", [])
        if self._live is not None:
            self._live.update(self._table(run, stages))
            return
        for stage in stages:
            self._print(stage)

    def _table(self, run: Mapping[str, Any], stages: Iterable[Mapping[str, Any]]) -> Table:
        table = Table(title=f"{run.get('name', '')}", title_justify="left", box=None, padding=(0, 1))
        for column in ("", "stage", "", "done", "rate", "left", ""):
            table.add_column(column, justify="right" if column in {"done", "rate", "left"} else "left", no_wrap=True)
        for stage in stages:
            mark, style = _MARKS.get(stage.get("state", ""), ("?", ""))
            name = Text(stage["name"], style=style)
            if stage.get("state") not in {"STATE_RUNNING", "STATE_CANCELLING"}:
                table.add_row(Text(mark, style=style), name, "", "", "", _took(stage), _told(stage))
                continue
            progress = stage.get("progress", {})
            completed, total = float(progress.get("completed", 0)), float(progress.get("total", 0))
            unit = progress.get("unit", "")
            rate = self._paces.setdefault(stage["name"], _Pace()).rate(completed)
            bar = ProgressBar(total=total or None, completed=completed, width=24, pulse=not total)
            table.add_row(
                Text(mark, style=style),
                name,
                bar,
                _done(completed, total, unit),
                f"{_number(rate, unit)}/s" if rate else "",
                _left(progress, completed, total, rate),
                "  ".join(filter(None, (progress.get("activity", ""), _told_meanwhile(stage)))),
            )
        return table

    def _print(self, stage: Mapping[str, Any]) -> None:
        name, state = stage["name"], stage.get("state", "STATE_UNSPECIFIED")
        before, at = self._printed.get(name, ("", 0.0))
        now = time.monotonic()
        if state in {"STATE_UNSPECIFIED", "STATE_PENDING"} or (
            state == before and (state != "STATE_RUNNING" or now - at < _PLAIN_SECONDS)
        ):
            return
        self._printed[name] = (state, now)
        mark, _ = _MARKS.get(state, ("?", ""))
        if state != "STATE_RUNNING":
            self._console.print(f"{mark} {name}  {_took(stage)}  {_told(stage)}", markup=False, highlight=False)
            return
        progress = stage.get("progress", {})
        completed, total = float(progress.get("completed", 0)), float(progress.get("total", 0))
        done = _done(completed, total, progress.get("unit", ""))
        left = _left(progress, completed, total, self._paces.setdefault(name, _Pace()).rate(completed))
        parts = (
            mark,
            name,
            progress.get("activity", ""),
            done,
            left and f"{left} left",
            _told_meanwhile(stage),
        )
        self._console.print("  ".join(filter(None, parts)), markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Gives seconds as a person says them: `8.2 s`, `3:05`, `1:02:03`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """Gives bytes as a person says them: `88.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def _took(stage: Mapping[str, Any]) -> str:
    seconds = float(stage.get("seconds", 0))
    return duration(seconds) if seconds else ""


def _told(stage: Mapping[str, Any]) -> str:
    told = [f"{int(c.get('value', 0)):,} {c['name'].replace('_', ' ')}" for c in stage.get("counts", [])]
    if refused := int(stage.get("refused", 0)):
        told.append(f"{refused:,} refused")
    if recorded := int(stage.get("recorded", 0)):
        told.append(f"{recorded:,} from records")
    if reason := stage.get("reason"):
        told.append(f"{reason.get('reason', '')}: {reason.get('message', '')}")
    return ", ".join(told)


def _done(completed: float, total: float, unit: str) -> str:
    if not completed and not total:
        return ""
    of = f" of {_number(total, unit)}" if total else ""
    return f"{_number(completed, unit)}{of}{'' if unit == 'bytes' else f' {unit}'}"


def _number(value: float, unit: str) -> str:
    if unit == "bytes":
        return size(value)
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def _left(progress: Mapping[str, Any], completed: float, total: float, rate: float) -> str:
    if "remaining_seconds" in progress:
        return duration(float(progress["remaining_seconds"]))
    return duration((total - completed) / rate) if rate and total > completed else ""


def _figures(figures: Mapping[str, Any]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {float(value):.4g}" for name, value in sorted(figures.items()))


def _told_meanwhile(stage: Mapping[str, Any]) -> str:
    return "  ".join(filter(None, (_figures(stage.get("progress", {}).get("figures", {})), _expected(stage))))


def _expected(stage: Mapping[str, Any]) -> str:
    """Says what a stage was expected to take before it began."""
    expected = {name: float(value) for name, value in stage.get("estimate", {}).items()}
    if not expected:
        return ""
    told = [f"{expected['steps']:,.0f} steps", f"{expected['tokens']:,.0f} tokens"]
    told += [f"{size(expected['memory_bytes'])} of memory", f"{size(expected['disk_bytes'])} of disk"]
    if "seconds" in expected:
        told.append(duration(expected["seconds"]))
    return f"(estimated: {', '.join(told)})"
