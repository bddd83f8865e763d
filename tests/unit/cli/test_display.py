"""What a run looks like on a terminal and in a log."""

from io import StringIO
from typing import Any

from rich.console import Console

from services.cli.display import RunDisplay

_TRAINING: dict[str, Any] = {
    "name": "train",
    "state": "STATE_RUNNING",
    "progress": {"activity": "training", "completed": "12", "total": "24", "unit": "steps", "figures": {"loss": 3.25}},
    "estimate": {"steps": 24, "tokens": 26758, "memory_bytes": 1.5e9, "disk_bytes": 7e8, "seconds": 190},
}


def _shown(*stages: dict[str, Any], terminal: bool) -> str:
    written = StringIO()
    console = Console(file=written, force_terminal=terminal, width=240, color_system=None)
    with RunDisplay(console) as display:
        display.show({"name": "runs/r1", "stages": list(stages)})
    return written.getvalue()


def test_an_estimate_is_shown_while_the_stage_is_at_work() -> None:
    told = "(estimated: 24 steps, 26,758 tokens, 1.5 GB of memory, 700.0 MB of disk, 3:10)"
    for terminal in (True, False):
        shown = _shown(_TRAINING, terminal=terminal)
        assert told in shown
        assert "12 of 24 steps" in shown
        assert "loss 3.25" in shown
    without = {**_TRAINING, "estimate": {}}
    assert "estimated" not in _shown(without, terminal=False)


def test_a_stage_that_ended_tells_its_counts_and_its_reason() -> None:
    done = {"name": "fetch", "state": "STATE_SUCCEEDED", "seconds": 8.2, "counts": [{"name": "books", "value": "10"}]}
    refused = {
        "name": "model",
        "state": "STATE_FAILED",
        "reason": {"reason": "NO_SUCH_MODEL", "message": "the Hub has no 'a/b'"},
    }
    shown = _shown({**done, "refused": "2", "recorded": "7"}, refused, terminal=False)
    assert "✓ fetch  8.2 s  10 books, 2 refused, 7 from records" in shown
    assert "✗ model" in shown
    assert "NO_SUCH_MODEL: the Hub has no 'a/b'" in shown
