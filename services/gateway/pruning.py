"""Removes what no run refers to and is older than an age.

What a run's objects refer to is kept, and what that refers to in turn: manifests, reports, every file of a folder. The
record of a step is kept while all that it refers to is: a record whose objects were gone would have to be computed anew
anyway. Records go before the objects that they refer to, so that none ever dangles.

While a run is at work, any record may be what answers its next call, and what it was answered with is nowhere written
down until its stage has finished. So then only uploads and logs are removed.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.common.errors import BookmillError
from services.common.storage import Entry, Store
from services.gateway.references import referred_keys
from services.gateway.runs import Runs

_log = logging.getLogger(__name__)

AREAS = (
    "results/",
    "books/",
    "chunks/",
    "manifests/",
    "reports/",
    "datasets/",
    "adapters/",
    "models/",
    "checkpoints/",
    "jobs/",
    "logs/",
    "uploads/",
)
"""What is ever removed, in this order. `runs/` is not among them: DeleteRun removes runs."""

_WHILE_AT_WORK = ("logs/", "uploads/")
_JOB_AREAS = ("checkpoints/", "jobs/", "logs/")
_FOLDER = re.compile(r"((?:datasets|adapters|models)/[0-9a-f]{64}/).+")
_JOB_NAME = re.compile(r"(?:train|export)-([0-9a-f]{20})")
_BATCH = 100  # objects between two looks at whether a run began
_MAX_JSON = 64 << 20


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be."""

    objects: int
    size: int
    """In bytes."""


def prune(
    store: Store, runs: Runs, minimum_age: int, dry_run: bool, run_began: Callable[[], bool] = lambda: False
) -> Pruned:
    """Removes what no run refers to.

    Args:
        store: the store.
        runs: its runs.
        minimum_age: in seconds; what was written later stays.
        dry_run: removes nothing.
        run_began: says whether a run began in this gateway meanwhile; then the rest is left for another time.
    """
    at_work = bool(runs.unfinished())
    areas = _WHILE_AT_WORK if at_work else AREAS
    before = datetime.now(UTC) - timedelta(seconds=minimum_age)
    entries = {entry.key: entry for area in AREAS for entry in store.entries(area)}
    kept = _kept(store, entries, before)
    old = [e for key, e in entries.items() if e.modified < before and key.startswith(areas)]
    doomed = [entry for entry in old if entry.key not in kept]
    doomed.sort(key=lambda entry: (_rank(entry.key), entry.key))
    objects = size = 0
    for number, entry in enumerate(doomed):
        if not dry_run:
            if not at_work and (run_began() or (number % _BATCH == 0 and runs.unfinished())):
                _log.warning("a run began; the rest is left for another time")
                break
            store.delete(entry.key)
        objects += 1
        size += entry.size
    _log.info("pruned", extra={"objects": objects, "bytes": size, "dry_run": dry_run})
    return Pruned(objects, size)


def _rank(key: str) -> int:
    return next(number for number, area in enumerate(AREAS) if key.startswith(area))


def _kept(store: Store, entries: dict[str, Entry], before: datetime) -> set[str]:
    """Gives the keys that stay, whatever their age."""
    marks = _Marks(store, entries)
    jobs: set[str] = set()
    for key in store.list("runs/"):
        value = store.get_record(key)
        jobs |= set(_JOB_NAME.findall(json.dumps(value)))
        marks.add(referred_keys(value))
    # What was written a moment ago is being worked with, and so is what it refers to.
    young = [key for key, entry in entries.items() if entry.modified >= before]
    jobs |= {key.split("/")[1][:20] for key in young if key.startswith(_JOB_AREAS)}
    marks.add(young)
    of_jobs = [key for key in entries if key.startswith(_JOB_AREAS) and key.split("/")[1][:20] in jobs]
    marks.add(of_jobs)
    records = {key: set(referred_keys(store.get_record(key))) for key in entries if key.startswith("results/")}
    marks.add(key for key, refers in records.items() if refers and refers <= marks.keys)
    return marks.keys


class _Marks:
    """The keys that are kept so far, and what they refer to."""

    def __init__(self, store: Store, entries: dict[str, Entry]) -> None:
        self._store = store
        self._entries = entries
        self._folders: dict[str, list[str]] = {}
        for key in entries:
            if folder := _FOLDER.fullmatch(key):
                self._folders.setdefault(folder[1], []).append(key)
        self.keys: set[str] = set()

    def add(self, keys: Iterable[str]) -> None:
        """Keeps objects and all that they refer to."""
        waiting = [key for key in keys if key in self._entries]
        while waiting:
            key = waiting.pop()
            if key in self.keys:
                continue
            self.keys.add(key)
            if folder := _FOLDER.fullmatch(key):
                self.keys.update(self._folders[folder[1]])
            waiting.extend(other for other in referred_keys(self._json(key)) if other in self._entries)

    def _json(self, key: str) -> Any:
        """Reads an object that may refer to others; None for one that does not."""
        if not key.endswith(".json") or _FOLDER.fullmatch(key) or self._entries[key].size > _MAX_JSON:
            return None
        try:
            return self._store.get_record(key)
        except BookmillError:
            return None
