"""The objects of a run. Written once each, by name, so that two gateways that follow one run do the same thing.

```
runs/<run>/spec.json                        what was asked for, and when
runs/<run>/stages/<stage>/started.json      when it began; of a stage that is a job, the job's name
runs/<run>/stages/<stage>/finished.json     how it ended; refers to its result. Written last
runs/<run>/cancelled.json                   a mark: stop
runs/<run>/progress.json                    what the run looks like now. For watchers alone, nothing is decided by it
runs/<run>/finished.json                    the final state. Nothing is written to the run after it
```
"""

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict

from bookmill.v1 import run_pb2
from services.common.canonical import JSON, canonical_json
from services.common.objects import Reference
from services.common.steps import to_json
from services.common.storage import Store

RESULTS = "manifests"
"""The area of the stages' results."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run as it was asked for."""

    run: str
    """Its id, the `<id>` of `runs/<id>`."""
    spec: run_pb2.RunSpec
    """Checked, defaults filled in."""
    created_at: float
    """Seconds since 1970 (UTC). Shown and sorted by; it enters no output."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a stage ended."""

    stage: run_pb2.Stage
    result: Reference | None
    """None when it failed."""


class Runs:
    """Reads and writes the objects of runs. Every call blocks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ids(self) -> list[str]:
        """Gives the ids of every run that has a spec."""
        keys = (key.split("/") for key in self._store.list("runs/"))
        return [parts[1] for parts in keys if len(parts) == 3 and parts[2] == "spec.json"]

    def unfinished(self) -> list[str]:
        """Gives the ids of the runs that have no final state."""
        keys = set(self._store.list("runs/"))
        runs = (parts[1] for key in sorted(keys) if len(parts := key.split("/")) == 3 and parts[2] == "spec.json")
        return [run for run in runs if f"runs/{run}/finished.json" not in keys]

    def begin(self, begun: Begun) -> None:
        """Writes the spec down: from now on there is a run."""
        value: JSON = {"spec": to_json(begun.spec), "created_at": begun.created_at}
        self._store.put_record(f"runs/{begun.run}/spec.json", value)

    def begun(self, run: str) -> Begun | None:
        """Looks a run up."""
        value = self._store.get_record(f"runs/{run}/spec.json")
        if value is None:
            return None
        return Begun(run, ParseDict(value["spec"], run_pb2.RunSpec()), float(value["created_at"]))

    def start_stage(self, run: str, stage: str, begun_at: float, job: str = "") -> None:
        """Writes down that a stage began. What is written stays, unless the job has another name now."""
        before = self.started(run, stage)
        if before is not None:
            begun_at = float(before["begun_at"])
        if before is None or before["job"] != job:
            self._store.put_record(f"runs/{run}/stages/{stage}/started.json", {"begun_at": begun_at, "job": job})

    def started(self, run: str, stage: str) -> dict[str, Any] | None:
        """Gives what `start_stage` wrote."""
        value: dict[str, Any] | None = self._store.get_record(f"runs/{run}/stages/{stage}/started.json")
        return value

    def finish_stage(self, run: str, stage: run_pb2.Stage, result: JSON | None) -> Finished:
        """Writes down how a stage ended, its result first.

        Returns:
            How it ended: another gateway's word where it was quicker, so that both go on from the same.
        """
        if (before := self.finished(run, stage.name)) is not None:
            return before
        reference = None if result is None else self._store.put_bytes(RESULTS, canonical_json(result), ".json")
        value = {"stage": to_json(stage), "result": None if reference is None else reference.to_json()}
        self._store.put_record(f"runs/{run}/stages/{stage.name}/finished.json", value)
        return Finished(stage, reference)

    def finished(self, run: str, stage: str) -> Finished | None:
        """Gives how a stage ended; None when it has not."""
        value = self._store.get_record(f"runs/{run}/stages/{stage}/finished.json")
        if value is None:
            return None
        reference = None if value["result"] is None else Reference.from_json(value["result"])
        return Finished(ParseDict(value["stage"], run_pb2.Stage()), reference)

    def result(self, reference: Reference) -> Any:
        """Reads a stage's result, verified."""
        return json.loads(self._store.read(reference))

    def cancel(self, run: str) -> None:
        """Marks a run as cancelled."""
        self._store.put_record(f"runs/{run}/cancelled.json", {})

    def is_cancelled(self, run: str) -> bool:
        """Says whether it is marked."""
        return self._store.stat(f"runs/{run}/cancelled.json") is not None

    def show(self, run: run_pb2.Run) -> None:
        """Writes down what a run looks like now."""
        self._store.put_record(f"{run.name}/progress.json", _without_spec(run))

    def shown(self, begun: Begun) -> run_pb2.Run | None:
        """Gives what `show` wrote."""
        return self._read(f"runs/{begun.run}/progress.json", begun)

    def end(self, run: run_pb2.Run) -> None:
        """Writes the final state down, unless it is."""
        key = f"{run.name}/finished.json"
        if self._store.stat(key) is None:
            self._store.put_record(key, _without_spec(run))

    def ended(self, begun: Begun) -> run_pb2.Run | None:
        """Gives a run's final state; None while it has none."""
        return self._read(f"runs/{begun.run}/finished.json", begun)

    def has_ended(self, run: str) -> bool:
        """Says whether a run's state is final."""
        return self._store.stat(f"runs/{run}/finished.json") is not None

    def delete(self, run: str) -> None:
        """Deletes a run's own objects, the spec first: without it there is no run."""
        self._store.delete(f"runs/{run}/spec.json")
        for key in list(self._store.list(f"runs/{run}/")):
            self._store.delete(key)

    def _read(self, key: str, begun: Begun) -> run_pb2.Run | None:
        value = self._store.get_record(key)
        if value is None:
            return None
        run = ParseDict(value, run_pb2.Run())
        run.spec.CopyFrom(begun.spec)
        return run


def _without_spec(run: run_pb2.Run) -> JSON:
    value = to_json(run)
    value.pop("spec", None)
    return value
