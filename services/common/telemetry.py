"""Logs: one JSON object a line on standard error, with the ids of the request and the run."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being served."""
run_id: ContextVar[str] = ContextVar("run_id", default="")
"""The run that it belongs to."""

# What every LogRecord has; anything else came through `extra=` and is a field of the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Gives the line: time, level, service, logger, message, ids and the fields of `extra=`."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, variable in (("request_id", request_id), ("run_id", run_id)):
            if value := variable.get():
                line[name] = value
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(service: str, level: int = logging.INFO) -> None:
    """Sends every log of this process to standard error as JSON.

    Args:
        service: the service's name, a field of each line.
        level: the least level shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These log each request of theirs at INFO; ours are logged by the interceptor.
    for noisy in ("httpx", "httpcore", "urllib3", "huggingface_hub", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextmanager
def identified(request: str = "", run: str = "") -> Iterator[None]:
    """Puts ids on every line that is logged inside.

    Args:
        request: a request's id; the one in force stays where it is empty.
        run: as `request`, a run's id.
    """
    tokens = [(v, v.set(new)) for v, new in ((request_id, request), (run_id, run)) if new]
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)
