"""Stages of the job, each done once: what one gave is a small record under the job's checkpoints.

An attempt that was stopped or killed goes on with the first stage that has no record. Files that a stage made are in
the store before its record is, and a record whose files are gone counts as none.
"""

import gc
from collections.abc import Callable, Iterator
from typing import Any

from services.common.objects import Reference
from services.jobs.exits import Interrupted
from services.jobs.program import JobContext


class Stages:
    """Runs stages of one job."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def run(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Gives a stage's record.

        Args:
            name: of the stage, letters, digits and `_`.
            work: does it; gives JSON, with `Reference.to_json()` for each file that it put in the store.

        Raises:
            Interrupted: the job was asked to stop.
        """
        self.go_on()
        key = f"checkpoints/{self._context.job}/{name}.json"
        found: Any = self._context.store.get_record(key)
        if found is not None and all(self._is_there(reference) for reference in _references(found)):
            return dict(found)
        gc.collect()  # of an earlier stage: models hold themselves in cycles, and memory holds one at a time
        made = work()
        self._context.store.put_record(key, made)
        return made

    def go_on(self) -> None:
        """Ends the attempt if that was asked for.

        Raises:
            Interrupted: it was.
        """
        if self._context.stop.requested:
            raise Interrupted(message="asked to stop; the stages that are done stay done")

    def _is_there(self, reference: Reference) -> bool:
        return self._context.store.stat(reference.key) == reference.size


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, dict):
        if value.keys() == {"key", "sha256", "size"}:
            yield Reference.from_json(value)
        for part in value.values():
            yield from _references(part)
