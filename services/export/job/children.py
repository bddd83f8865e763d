"""Parts of the job that run in a process of their own: they abort on bad input, or leave memory behind.

A part is a module with a `main`; a request goes in as a JSON file, and what it makes comes out as files.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.common.canonical import JSON
from services.common.errors import DeadlineExceeded
from services.jobs.exits import Interrupted, OutOfMemory
from services.jobs.signals import StopFlag

POLL_SECONDS = 0.5
"""How often a child is asked whether it is done, and the stop flag whether it must be."""

_KILL_SECONDS = 10.0  # for the kernel to end a process after SIGKILL
_SAID = 4000  # bytes of standard error that are kept
_PR_SET_PDEATHSIG = 1  # of prctl(2)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    code: int
    """Its exit code; below 0 the signal that ended it."""
    said: str
    """The last lines of its standard error, joined."""


def run_child(
    module: str, request: JSON, *, deadline: float, stop: StopFlag, tick: Callable[[], None] = lambda: None
) -> Ended:
    """Runs a module's `main` as a process, which is never left behind.

    Args:
        module: its import path.
        request: what `read_request` gives it.
        deadline: seconds that it may take.
        stop: ends it when turned on.
        tick: called while it runs.

    Raises:
        Interrupted: the job was asked to stop.
        OutOfMemory: the child was killed, as the kernel does when memory runs out.
        DeadlineExceeded: `TOO_SLOW`: another attempt may find the machine less busy.
    """
    with tempfile.TemporaryDirectory(prefix="bookmill-child-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        with (Path(folder) / "stderr").open("w+b") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_environment(),
            )
            try:
                code = _wait(process, deadline, stop, tick)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait(_KILL_SECONDS)
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _SAID))
            said = errors.read().decode(errors="replace")
    if code == -signal.SIGKILL:
        raise OutOfMemory(message=f"{module.rpartition('.')[2]} was killed: memory does not hold the model")
    return Ended(code, _last_lines(said))


def read_request() -> Any:
    """Gives a child its request, and ties its life to its parent's: nobody would wait for it any more."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def _wait(process: subprocess.Popen[bytes], deadline: float, stop: StopFlag, tick: Callable[[], None]) -> int:
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if stop.requested:
            raise Interrupted(message="asked to stop while a part of the work ran; it is done anew")
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            tick()
    raise DeadlineExceeded("TOO_SLOW", f"a part of the work took more than {deadline:.0f} s")


def _environment() -> dict[str, str]:
    # The store's keys are not for it, and nothing is ever fetched from a hub.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOOKMILL_")}
    return {**kept, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_WAIT_POLICY": "PASSIVE"}


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:]) or "it said nothing"
