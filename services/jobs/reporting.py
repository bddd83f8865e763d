"""Brings a job's progress and log to the store while it works, without ever holding it up."""

import logging
import threading
from collections import deque
from types import TracebackType
from typing import Self

from bookmill.v1 import object_pb2
from services.common.errors import BookmillError
from services.jobs.records import JobRecords

INTERVAL_SECONDS = 2.0
"""Progress is written at most so often."""
LOG_INTERVAL_SECONDS = 30.0
"""The log is written so often while it grows, so that a killed program leaves one."""
LOG_BYTES = 512 << 10
"""Of a log, its end is kept."""

_log = logging.getLogger(__name__)


class Logbook(logging.Handler):
    """Keeps the last lines that were logged, of `LOG_BYTES` in all."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._lines: deque[str] = deque()
        self._bytes = 0
        self.written = 0
        """Lines ever logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a line."""
        line = self.format(record)
        self._lines.append(line)
        self._bytes += len(line)
        self.written += 1
        while self._bytes > LOG_BYTES:
            self._bytes -= len(self._lines.popleft())

    def lines(self) -> list[str]:
        """Gives the lines that are kept."""
        with self.lock or threading.Lock():
            return list(self._lines)


class Reporter:
    """Writes progress and log from a thread of its own, and once more at the end.

    A store that does not answer costs what was to be written and nothing else.
    """

    def __init__(self, records: JobRecords, job: str, attempt: int, logbook: Logbook) -> None:
        self._records = records
        self._job = job
        self._attempt = attempt
        self._logbook = logbook
        self._latest: object_pb2.Progress | None = None
        self._lines = 0
        self._wake = threading.Condition()
        self._writing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def report(self, progress: object_pb2.Progress) -> None:
        """Takes the latest progress; what was not written before is replaced by it."""
        with self._wake:
            self._latest = progress
            self._wake.notify()

    def flush(self) -> None:
        """Writes the latest progress now."""
        self._write_progress()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._write_progress()
        self._write_log()

    def _run(self) -> None:
        waited = 0.0
        while not self._closed:
            self._write_progress()
            waited += INTERVAL_SECONDS
            if waited >= LOG_INTERVAL_SECONDS:
                self._write_log()
                waited = 0.0
            with self._wake:
                self._wake.wait_for(lambda: self._closed, INTERVAL_SECONDS)

    def _write_progress(self) -> None:
        with self._writing:  # one after the other, so that the latest is the last
            with self._wake:
                progress, self._latest = self._latest, None
            if progress is None:
                return
            try:
                self._records.put_progress(self._job, progress)
            except BookmillError as error:
                _log.warning("progress was not written", extra={"reason": error.reason})

    def _write_log(self) -> None:
        lines = self._logbook.lines()
        if self._logbook.written == self._lines:
            return
        self._lines = self._logbook.written
        try:
            self._records.put_log(self._job, self._attempt, lines)
        except BookmillError as error:
            _log.warning("the log was not written", extra={"reason": error.reason})
