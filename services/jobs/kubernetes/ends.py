"""How a pod of a job ended, read from the pod alone."""

import json
import re
from dataclasses import dataclass
from typing import Any

from services.jobs.exits import TERMINAL, Interrupted, OutOfMemory

_SIGKILL = 137  # 128 and the signal's number, as a shell counts
_MESSAGE_LIMIT = 1000
_REASON = re.compile(r"[A-Z][A-Z0-9_]{1,62}")
_PREEMPTED = "PreemptionByScheduler"


@dataclass(frozen=True, slots=True)
class End:
    """Why a pod is no longer at work, or soon will not be."""

    reason: str
    """UPPER_SNAKE."""
    message: str
    """The same for a person."""
    resumes: bool = False
    """Whether it is no fault of the job: it goes on in another pod."""


def disruption(pod: dict[str, Any]) -> End | None:
    """Says what took a pod's place away from it, if anything did.

    The kubelet, the scheduler and the API each say so in a condition of the pod (Kubernetes documentation, "Pod
    disruption conditions"); limits of disk that a pod itself broke are no disruption.
    """
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = "PREEMPTED" if condition.get("reason") == _PREEMPTED else "EVICTED"
            return End(reason, _cut(condition.get("message") or condition.get("reason", "")), resumes=True)
    return None


def end_of(pod: dict[str, Any]) -> End:
    """Says how a pod ended whose phase is Failed."""
    status = pod["status"]
    if (taken := disruption(pod)) is not None:
        return taken
    if status.get("reason"):
        # Evicted for what it wrote, or turned away by the node's kubelet: the words are the kubelet's.
        return End("EVICTED", _cut(f"{status['reason']}: {status.get('message', '')}"))
    terminated = _terminated(status)
    code = terminated.get("exitCode")
    if terminated.get("reason") == "OOMKilled":
        return End("OUT_OF_MEMORY", f"took more memory than its limit, {_memory_limit(pod)}; raise it in the values")
    if code == Interrupted.exit_code or (code == _SIGKILL and pod["metadata"].get("deletionTimestamp")):
        return End("INTERRUPTED", "asked to stop; it goes on from its checkpoint", resumes=True)
    if code == _SIGKILL:
        return End("OUT_OF_MEMORY", "killed by SIGKILL, most likely since its node had no memory left")
    if terminated.get("reason") in {"StartError", "ContainerCannotRun"}:
        return End("CANNOT_START", _cut(terminated.get("message", "")))
    return _by_code(code, terminated.get("message", ""))


def end_by_code(code: int) -> End:
    """Says what an exit code means, where the pod is gone."""
    return _by_code(code, "")


def _by_code(code: int | None, words: str) -> End:
    reason, message = _told(words)
    if code in TERMINAL:
        standard = TERMINAL[code]
        memory = code == OutOfMemory.exit_code
        unsaid = "the memory of the GPU or the process is too small for it" if memory else "its log says more"
        return End(reason or standard, message or f"the program ended with exit code {code}: {unsaid}")
    return End(reason or "CRASHED", f"the program ended with exit code {code}: {message or 'its log says more'}")


def _told(words: str) -> tuple[str, str]:
    """Reads what the program said of its end (`services.jobs.telling`), else the last line of its log."""
    words = words.strip()
    line = words.splitlines()[-1] if words else ""
    for text in (words, line):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            reason = value.get("reason", "")
            return (reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""), _cut(value["message"])
    return "", _cut(line)


def _terminated(status: dict[str, Any]) -> dict[str, Any]:
    for container in status.get("containerStatuses", ()):
        for state in (container.get("state", {}), container.get("lastState", {})):
            if "terminated" in state:
                found: dict[str, Any] = state["terminated"]
                return found
    return {}


def _memory_limit(pod: dict[str, Any]) -> str:
    limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
    return str(limits.get("memory", "that of its node"))


def _cut(text: str) -> str:
    return text.strip()[:_MESSAGE_LIMIT]
