"""CPU work in other processes, so that probes and other calls are answered meanwhile."""

import asyncio
import ctypes
import logging
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from services.common.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Workers:
    """A pool of spawned processes. Spawned, not forked: gRPC's threads do not survive a fork."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function in a worker.

        Args:
            function: importable by name; it and its arguments are pickled.
            args: its arguments.
            kwargs: its named arguments.

        Raises:
            Unavailable: `WORKER_DIED`: the process was killed, by the kernel when memory ran out for example.
        """
        pool = self._pool
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, _call, function, args, kwargs)
        except BrokenProcessPool as error:
            if self._pool is pool:  # the first of those that were waiting makes the new one
                self._pool = self._new_pool()
                pool.shutdown(wait=False)
            _log.warning("a worker process died")
            raise Unavailable("WORKER_DIED", "the process that was at work died; try again") from error

    async def warm(self) -> None:
        """Starts the processes now, not at the first call."""
        await asyncio.gather(*(self.run(_nothing) for _ in range(self._processes)))

    def close(self) -> None:
        """Ends the processes; work in progress is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)


def die_with_parent(with_signal: signal.Signals) -> None:
    """Asks the kernel to send this process a signal when the one that started it dies (Linux alone)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, int(with_signal))


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    return function(*args, **kwargs)


def _nothing() -> None:
    """Does nothing; calling it starts a worker."""
