"""Where a job is and why, read from its Job, its pods and their events. Pure: objects as the API gives them.

| reason | when |
|---|---|
| `QUEUED` | Kueue has not admitted it, or holds its pod back |
| `POD_REFUSED` | the cluster makes no pod of it: a quota, a policy, a class that does not exist |
| `UNSCHEDULABLE` | no node takes its pod; the scheduler's words say why |
| `IMAGE_PULL_FAILED`, `CANNOT_START` | the node cannot begin: image; volume, secret or runtime |
| `PREEMPTED`, `EVICTED`, `INTERRUPTED` | its pod lost its place; it goes on from its checkpoint |
| `OUT_OF_MEMORY`, `CRASHED`, or what the program said | its pod ended and starts again, or the job has failed |
| `DEADLINE` | it took longer than it may |
| `BAD_CONFIGURATION`, `NOT_FINITE`, `NO_PROGRESS`, or finer | the program ended it |
"""

import re
from collections.abc import Sequence
from typing import Any

from services.jobs.kubernetes.ends import End, disruption, end_by_code, end_of
from services.jobs.kubernetes.manifest import QUEUE
from services.jobs.launcher import Phase, Status

Object = dict[str, Any]

_NO_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_BEGINNING = {"ContainerCreating", "PodInitializing"}
# Events of a pod that has a node and cannot begin there.
_CANNOT_START = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer"}
# Events of a pod that is gone, by whoever took its place.
_LOST_PLACE = {"Preempted": "PREEMPTED", "TaintManagerEviction": "EVICTED", "Evicted": "EVICTED"}
_EXIT_CODE = re.compile(r"failed with exit code (\d+)")
_WORDS = 1000  # characters of a message


def condition(job: Object, kind: str) -> Object | None:
    """Gives a condition of a Job that holds, None where it does not."""
    for found in job.get("status", {}).get("conditions", ()):
        if found["type"] == kind and found["status"] == "True":
            held: Object = found
            return held
    return None


def is_deleting(job: Object) -> bool:
    """Says whether a Job is being deleted: its pods are being stopped, and it makes no more of them."""
    return "deletionTimestamp" in job["metadata"]


def is_over(job: Object) -> bool:
    """Says whether a Job will start no pod any more."""
    ends = ("Complete", "SuccessCriteriaMet", "Failed", "FailureTarget")
    return is_deleting(job) or any(condition(job, kind) for kind in ends)


def needs_events(job: Object, pods: Sequence[Object]) -> bool:
    """Says whether events could tell more: nothing is at work, and nothing has ended."""
    return not is_over(job) and not any(_is_at_work(pod) for pod in pods)


def status_of(job: Object, pods: Sequence[Object], events: Sequence[Object]) -> Status | None:
    """Says where a job is.

    Args:
        job: the Job.
        pods: its pods, the newest last.
        events: about the Job and its pods, in any order.

    Returns:
        None when it has ended by itself or is being deleted and nothing is at work: the store knows how.
    """
    at_work = any(_is_at_work(pod) for pod in pods)
    if is_deleting(job):
        return Status(Phase.STOPPING, "STOPPING", "was asked to stop and saves its state") if at_work else None
    if condition(job, "Complete"):
        return None
    if (failed := condition(job, "Failed")) is not None:
        end = _failure(failed, job, pods)
        return Status(Phase.FAILED, end.reason, end.message)
    if (failing := condition(job, "FailureTarget")) is not None:
        end = _failure(failing, job, pods)
        return Status(Phase.STOPPING if at_work else Phase.RUNNING, end.reason, end.message)
    if condition(job, "SuccessCriteriaMet"):
        return Status(Phase.RUNNING)
    return _unfinished(job, pods, events)


def _unfinished(job: Object, pods: Sequence[Object], events: Sequence[Object]) -> Status:
    living = [pod for pod in pods if pod["status"].get("phase") not in {"Succeeded", "Failed"}]
    if living and _is_at_work(living[-1]):
        return _at_work(job, living[-1])
    if job["spec"].get("suspend"):
        queue = job["metadata"].get("labels", {}).get(QUEUE)
        where = f"waits in the queue {queue!r} until Kueue admits it" if queue else "is suspended"
        return Status(Phase.WAITING, "QUEUED", where)
    if living:
        return _beginning(living[-1], pods, events)
    if pods and pods[-1]["status"]["phase"] == "Succeeded":
        return Status(Phase.RUNNING)
    if (refused := _refused(pods, events)) is not None:
        return refused
    return _again(_last_end(pods, events))


def _at_work(job: Object, pod: Object) -> Status:
    if "deletionTimestamp" not in pod["metadata"]:
        return Status(Phase.RUNNING)
    if job["spec"].get("suspend"):
        return Status(Phase.RUNNING, "PREEMPTED", "Kueue gives its place to another job; it saves its state")
    end = disruption(pod) or End("INTERRUPTED", "its pod is being deleted", resumes=True)
    return Status(Phase.RUNNING, end.reason, f"{end.message}; it saves its state and goes on in another pod")


def _beginning(pod: Object, pods: Sequence[Object], events: Sequence[Object]) -> Status:
    """Of a pod whose program has not begun."""
    for found in pod["status"].get("conditions", ()):
        if found["type"] == "PodScheduled" and found["status"] == "False":
            reason = "QUEUED" if found.get("reason") == "SchedulingGated" else "UNSCHEDULABLE"
            return Status(Phase.WAITING, reason, _cut(found.get("message", "")))
    for container in pod["status"].get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        words = _cut(f"{reason}: {waiting.get('message', '')}")
        if reason in _NO_IMAGE:
            return Status(Phase.WAITING, "IMAGE_PULL_FAILED", words)
        if reason and reason not in _BEGINNING:
            return Status(Phase.WAITING, "CANNOT_START", words)
    own = [event for event in events if event["involvedObject"].get("uid") == pod["metadata"]["uid"]]
    stuck = _latest(own, _CANNOT_START)
    if stuck is not None:
        return Status(Phase.WAITING, "CANNOT_START", _cut(f"{stuck['reason']}: {stuck.get('message', '')}"))
    return _again(_last_end([other for other in pods if other is not pod], events))


def _refused(pods: Sequence[Object], events: Sequence[Object]) -> Status | None:
    """Says why the cluster makes no pod, if it does not."""
    event = _latest([event for event in events if event["involvedObject"].get("kind") == "Job"], {"FailedCreate"})
    if event is None or (pods and _time(event) <= _time(pods[-1])):
        return None
    return Status(Phase.WAITING, "POD_REFUSED", _cut(event.get("message", "")))


def _last_end(pods: Sequence[Object], events: Sequence[Object]) -> End | None:
    """Says how the attempt before ended; its pod may be gone, and events tell of it for an hour."""
    lost = _latest(events, _LOST_PLACE)
    ended = [pod for pod in pods if pod["status"].get("phase") == "Failed"]
    if lost is not None and (not ended or _time(lost) >= _time(ended[-1])):
        return End(_LOST_PLACE[lost["reason"]], _cut(lost.get("message", "")), resumes=True)
    return end_of(ended[-1]) if ended else None


def _again(end: End | None) -> Status:
    if end is None:
        return Status(Phase.WAITING)
    how = "goes on from its checkpoint" if end.resumes else "starts again"
    return Status(Phase.WAITING, end.reason, f"{end.message}; it {how}")


def _failure(found: Object, job: Object, pods: Sequence[Object]) -> End:
    """Says why a Job has failed.

    Args:
        found: the condition that says so.
        job: the Job.
        pods: its pods, as far as they are there.
    """
    why, words = found.get("reason", ""), found.get("message", "")
    if why == "DeadlineExceeded":
        seconds = job["spec"].get("activeDeadlineSeconds")
        again = "made again with retry, it goes on from its checkpoint"
        return End("DEADLINE", f"took longer than activeDeadlineSeconds, {seconds} s; {again}")
    ends = [end_of(pod) for pod in pods if pod["status"].get("phase") == "Failed"]
    # Those that resume are no fault of the job, hence not what it failed of.
    faults = [end for end in ends if not end.resumes]
    if why == "PodFailurePolicy":
        match = _EXIT_CODE.search(words)
        return faults[-1] if faults else end_by_code(int(match[1])) if match else End("JOB_FAILED", _cut(words))
    if why == "BackoffLimitExceeded":
        last = faults[-1] if faults else End("CRASHED", words)
        return End(last.reason, _cut(f"failed {max(len(faults), 1)} times, at last: {last.message}"))
    return End("JOB_FAILED", _cut(f"{why}: {words}"))


def _is_at_work(pod: Object) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def _latest(events: Sequence[Object], reasons: Any) -> Object | None:
    return max((event for event in events if event.get("reason") in reasons), key=_time, default=None)


def _time(event: Object) -> str:
    """Gives when an event was last seen, or a pod was made, to the second; such times sort as text."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next(filter(None, stamps), event["metadata"].get("creationTimestamp", "")))[:19]


def _cut(text: str) -> str:
    return text.strip()[:_WORDS]
