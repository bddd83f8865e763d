"""Pages of runs, newest first. A token says after which run the next page begins, so that new runs move nothing."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bookmill.v1 import run_pb2
from services.common.errors import InvalidInput

DEFAULT_SIZE = 20
MAX_SIZE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    ids: tuple[str, ...]
    """Of its runs, in order."""
    next_token: str
    """Empty on the last page."""
    created: Mapping[str, float]
    runs: tuple[run_pb2.Run, ...] = ()

    def holding(self, runs: tuple[run_pb2.Run, ...]) -> "Page":
        """Gives the page with its runs."""
        return replace(self, runs=runs)

    def cut_before(self, run: str, runs: tuple[run_pb2.Run, ...]) -> "Page":
        """Gives a shorter page, whose token goes on with a run that it has no room for."""
        ids = self.ids[: self.ids.index(run)]
        return Page(ids, _token(self.created[ids[-1]], ids[-1]), self.created, runs)


def page_of(created: Mapping[str, float], page_size: int, page_token: str) -> Page:
    """Takes a page of the runs.

    Args:
        created: when each run was created, by its id.
        page_size: 1 to 100; 20 when 0.
        page_token: empty for the first page.

    Raises:
        InvalidInput: `BAD_PAGE_SIZE`, `BAD_PAGE_TOKEN`.
    """
    if not 0 <= page_size <= MAX_SIZE:
        raise InvalidInput(
            "BAD_PAGE_SIZE",
            f"page_size {page_size} is not from 1 to {MAX_SIZE} (0 for {DEFAULT_SIZE})",
            field="page_size",
            choices=f"1 to {MAX_SIZE}",
        )
    ordered = sorted(((-when, run) for run, when in created.items()))
    if page_token:
        after = _after(page_token)
        ordered = [place for place in ordered if place > after]
    size = page_size or DEFAULT_SIZE
    ids = tuple(run for _, run in ordered[:size])
    more = len(ordered) > size
    return Page(ids, _token(created[ids[-1]], ids[-1]) if more else "", created)


def _token(when: float, run: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([when, run]).encode()).decode().rstrip("=")


def _after(token: str) -> tuple[float, str]:
    try:
        when, run = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return -float(when), str(run)
    except (ValueError, TypeError, binascii.Error) as error:
        message = f"page_token {token[:80]!r} is none that a list gave; begin with an empty one"
        raise InvalidInput("BAD_PAGE_TOKEN", message, field="page_token") from error
