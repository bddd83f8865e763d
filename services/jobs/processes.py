"""One job's folder on this machine, and the process that works on it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.common.writing import no_space_is_exhausted, replacing
from services.jobs.launcher import Order
from services.jobs.locks import is_locked

POLL_SECONDS = 0.1
"""How often a process is looked at. Processes of a service that died are no children of the next, so that there
is nothing better to wait for."""

_KILL_SECONDS = 10.0  # for the kernel to end a process after SIGKILL
_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class JobFolder:
    """A job's files on this machine."""

    path: Path
    """The folder, named by the job's hash."""

    @property
    def owner(self) -> Path:
        """Locked by the service that looks after the job."""
        return self.path / "owner"

    @property
    def lock(self) -> Path:
        """Locked by the job's process for as long as it lives; holds its id."""
        return self.path / "lock"

    @property
    def scratch(self) -> Path:
        """For the process's big files."""
        return self.path / "scratch"

    @property
    def _output(self) -> Path:
        return self.path / "output.log"

    @property
    def _request(self) -> Path:
        return self.path / "request.json"

    def prepare(self, order: Order) -> None:
        """Makes the folder with the request.

        Raises:
            Exhausted: `DISK_FULL`.
        """
        with no_space_is_exhausted():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(self._request) as file:
            file.write(order.request.encode())

    def spawn(self, order: Order, lock: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Starts the process, in a session of its own: a Ctrl-C in the service's terminal is not for it.

        Args:
            order: what to run.
            lock: the locked descriptor of `lock`. The process inherits it and does nothing with it, so that the lock
                lives exactly as long.
            environment: of the process.

        Raises:
            Exhausted: `DISK_FULL`.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)  # of a process that was killed
        with no_space_is_exhausted():
            self.scratch.mkdir()
            os.ftruncate(lock, 0)
            with self._output.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", order.program, str(self._request)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={
                        **environment,
                        "BOOKMILL_JOB_SCRATCH": str(self.scratch),
                        "BOOKMILL_JOB_LOCK": str(self.lock),
                    },
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        # The program writes it too: were this service killed just here, nobody could stop the program otherwise.
        os.pwrite(lock, str(process.pid).encode(), 0)
        return process

    def working(self) -> bool:
        """Says whether a process is at work, whoever started it."""
        return is_locked(self.lock)

    async def terminate(self, grace: float) -> None:
        """Ends the process: SIGTERM, and SIGKILL when it has not gone in time. Returns when it is gone.

        Args:
            grace: seconds between the two.
        """
        deadline = time.monotonic() + grace
        asked = None
        while self.working() and time.monotonic() < deadline + _KILL_SECONDS:
            pid = self._pid()
            if asked is not None and pid is not None and pid != asked:
                return  # that one is gone, and another was started
            with suppress(ProcessLookupError):
                if pid is not None and time.monotonic() > deadline:
                    os.killpg(pid, signal.SIGKILL)
                elif pid is not None and asked is None:
                    os.kill(pid, signal.SIGTERM)
                    asked = pid
            await asyncio.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """Gives the last line that the process wrote, for a person."""
        try:
            with self._output.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return lines[-1][-500:] if lines else ""

    def clear(self) -> None:
        """Removes what is of no use once the job has ended. The locks stay: removing one that is held frees it."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._output.unlink(missing_ok=True)
        self._request.unlink(missing_ok=True)

    def _pid(self) -> int | None:
        # Empty for the moment between two processes.
        text = self.lock.read_text(encoding="ascii").strip("\0 \n")
        return int(text) if text.isdecimal() else None


def end_stragglers(process: subprocess.Popen[bytes]) -> None:
    """Kills what a process that has ended left behind in its session, such as a converter it was using."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
