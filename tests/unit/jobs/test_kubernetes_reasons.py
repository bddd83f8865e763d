# ruff: noqa: E501 (a row of a table is a line)

import json
from typing import Any

import pytest

from services.jobs.kubernetes.ends import end_by_code, end_of
from services.jobs.kubernetes.reasons import is_over, needs_events, status_of
from services.jobs.launcher import Phase
from tests.support.cluster_objects import NAME, condition, ended, event, job, pod, waiting

NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate"
UNSCHEDULABLE = condition("PodScheduled", "Unschedulable", NO_GPU, "False")
PREEMPTION = condition(
    "DisruptionTarget", "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"
)
DRAIN = condition("DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting")
POLICY = f"Container trainer for pod books/{NAME}-1 failed with exit code 44 matching FailJob rule at index 2"
TOLD = json.dumps({"reason": "STORE_FULL", "message": "no room"})
LOG = 'Traceback\n{"level": "error", "message": "it broke", "reason": "lower case"}\n'
FAILED_POLICY = condition("Failed", "PodFailurePolicy", POLICY)
FAILED_BACKOFF = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
FAILED_DEADLINE = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


# (case, job, pods, events, phase, reason, words of the message)
CASES: list[tuple[str, Any, list[Any], list[Any], Phase | None, str, str]] = [
    ("just made", job(), [], [], Phase.WAITING, "", ""),
    ("at work", job(), [pod(1, "Running")], [], Phase.RUNNING, "", ""),
    ("succeeding", job(), [pod(1, "Succeeded")], [], Phase.RUNNING, "", ""),
    ("as good as complete", job(condition("SuccessCriteriaMet")), [pod(1, "Succeeded")], [], Phase.RUNNING, "", ""),
    ("complete", job(condition("SuccessCriteriaMet"), condition("Complete")), [pod(1, "Succeeded")], [], None, "", ""),
    ("a condition that does not hold", job(condition("Failed", status="False")), [pod(1, "Running")], [], Phase.RUNNING, "", ""),
    ("no node", job(), [pod(1, "Pending", UNSCHEDULABLE)], [], Phase.WAITING, "UNSCHEDULABLE", NO_GPU),
    ("held back", job(), [pod(1, "Pending", condition("PodScheduled", "SchedulingGated", "gated", "False"))], [], Phase.WAITING, "QUEUED", "gated"),
    ("queued", job(suspend=True, queue="gpus"), [], [event("Suspended", "Job suspended", 1, kind="Normal")], Phase.WAITING, "QUEUED", "'gpus'"),
    ("suspended by hand", job(suspend=True), [], [], Phase.WAITING, "QUEUED", "is suspended"),
    ("admitted", job(suspend=False, queue="gpus"), [pod(1, "Running")], [], Phase.RUNNING, "", ""),
    ("preempted by Kueue", job(suspend=True, queue="gpus"), [pod(1, "Running", deleting=True)], [], Phase.RUNNING, "PREEMPTED", "Kueue"),
    ("preempted by Kueue before it began", job(suspend=True, queue="gpus"), [pod(1, "Pending", UNSCHEDULABLE, deleting=True)], [], Phase.WAITING, "QUEUED", "'gpus'"),
    ("no image", job(), [waiting(1, "ErrImagePull", 'failed to pull "x"')], [], Phase.WAITING, "IMAGE_PULL_FAILED", 'failed to pull "x"'),
    ("still no image", job(), [waiting(1, "ImagePullBackOff", 'Back-off pulling image "x"')], [], Phase.WAITING, "IMAGE_PULL_FAILED", "Back-off"),
    ("image not brought", job(), [waiting(1, "ErrImageNeverPull")], [], Phase.WAITING, "IMAGE_PULL_FAILED", "ErrImageNeverPull"),
    ("no such key", job(), [waiting(1, "CreateContainerConfigError", 'secret "s" not found')], [], Phase.WAITING, "CANNOT_START", '"s" not found'),
    ("being made", job(), [waiting(1, "ContainerCreating")], [], Phase.WAITING, "", ""),
    ("no secret", job(), [waiting(1, "ContainerCreating")], [event("FailedMount", 'secret "s" not found', 3, 1)], Phase.WAITING, "CANNOT_START", '"s" not found'),
    ("no runtime", job(), [waiting(1, "ContainerCreating")], [event("FailedCreatePodSandBox", "no runtime for nvidia", 3, 1)], Phase.WAITING, "CANNOT_START", "nvidia"),
    ("no secret for another pod", job(), [waiting(2, "ContainerCreating")], [event("FailedMount", "old", 3, 1)], Phase.WAITING, "", ""),
    ("no pod", job(), [], [event("FailedCreate", "exceeded quota: full", 3)], Phase.WAITING, "POD_REFUSED", "exceeded quota"),
    ("no pod once, one now", job(), [waiting(5, "ContainerCreating")], [event("FailedCreate", "exceeded quota: full", 3)], Phase.WAITING, "", ""),
    ("no second pod", job(), [ended(1, 1)], [event("FailedCreate", "exceeded quota: full", 3)], Phase.WAITING, "POD_REFUSED", "exceeded quota"),
    ("crashed, and waits", job(), [ended(1, 1, message=TOLD)], [], Phase.WAITING, "STORE_FULL", "no room; it starts again"),
    ("crashed, and begins", job(), [ended(1, 1, message=LOG), waiting(2, "ContainerCreating")], [], Phase.WAITING, "CRASHED", "it broke"),
    ("crashed, and works again", job(), [ended(1, 1), pod(2, "Running")], [], Phase.RUNNING, "", ""),
    ("interrupted, and waits", job(), [ended(1, 75)], [], Phase.WAITING, "INTERRUPTED", "goes on from its checkpoint"),
    ("being preempted", job(), [pod(1, "Running", PREEMPTION, deleting=True)], [], Phase.RUNNING, "PREEMPTED", "saves its state"),
    ("preempted, no node", job(), [pod(2, "Pending", UNSCHEDULABLE)], [event("Preempted", "by a pod", 3, 1)], Phase.WAITING, "UNSCHEDULABLE", NO_GPU),
    ("preempted, and begins", job(), [waiting(2, "ContainerCreating")], [event("Preempted", "by a pod", 3, 1, "Normal")], Phase.WAITING, "PREEMPTED", "by a pod; it goes on"),
    ("preempted, no pod yet", job(), [], [event("Preempted", "by a pod", 3, 1, "Normal")], Phase.WAITING, "PREEMPTED", "by a pod"),
    ("preempted before it crashed", job(), [ended(5, 1)], [event("Preempted", "by a pod", 3, 1)], Phase.WAITING, "CRASHED", ""),
    ("being drained", job(), [pod(1, "Running", DRAIN, deleting=True)], [], Phase.RUNNING, "EVICTED", "Eviction API"),
    ("being deleted by hand", job(), [pod(1, "Running", deleting=True)], [], Phase.RUNNING, "INTERRUPTED", "another pod"),
    ("its node lost", job(), [], [event("TaintManagerEviction", "Marking for deletion", 3, 1, "Normal")], Phase.WAITING, "EVICTED", ""),
    ("evicted by its node", job(), [pod(1, "Failed", condition("DisruptionTarget", "TerminationByKubelet", "low on memory"), reason="Evicted")], [], Phase.WAITING, "EVICTED", "low on memory"),
    ("wrote too much", job(), [pod(1, "Failed", reason="Evicted", message='Usage of EmptyDir volume "cache" exceeds the limit "1Gi".')], [], Phase.WAITING, "EVICTED", "exceeds the limit"),
    ("turned away by its node", job(), [pod(1, "Failed", reason="UnexpectedAdmissionError", message="no healthy devices")], [], Phase.WAITING, "EVICTED", "no healthy devices"),
    ("took too much memory", job(), [ended(1, 137, "OOMKilled")], [], Phase.WAITING, "OUT_OF_MEMORY", "64Mi"),
    ("killed for memory", job(), [ended(1, 137)], [], Phase.WAITING, "OUT_OF_MEMORY", "SIGKILL"),
    ("did not stop in time", job(), [ended(1, 137, deleting=True)], [], Phase.WAITING, "INTERRUPTED", ""),
    ("no such program", job(), [ended(1, 128, "StartError", "exec: no such file")], [], Phase.WAITING, "CANNOT_START", "no such file"),
    ("failed, bad data", job(FAILED_POLICY), [ended(1, 42)], [], Phase.FAILED, "BAD_CONFIGURATION", "exit code 42"),
    ("failed, as told", job(FAILED_POLICY), [ended(1, 42, message=TOLD)], [], Phase.FAILED, "STORE_FULL", "no room"),
    ("failed, GPU memory", job(FAILED_POLICY), [ended(1, 43)], [], Phase.FAILED, "OUT_OF_MEMORY", "memory of the GPU"),
    ("failed, loss", job(FAILED_POLICY), [ended(1, 44)], [], Phase.FAILED, "NOT_FINITE", ""),
    ("failed, attempts", job(FAILED_POLICY), [ended(1, 75), ended(2, 45)], [], Phase.FAILED, "NO_PROGRESS", ""),
    ("failed, pod gone", job(FAILED_POLICY), [], [], Phase.FAILED, "NOT_FINITE", "exit code 44"),
    ("failed, policy of others", job(condition("Failed", "PodFailurePolicy", "another rule")), [], [], Phase.FAILED, "JOB_FAILED", "another rule"),
    ("failed, crashes", job(FAILED_BACKOFF), [ended(n, 1, message=LOG) for n in range(1, 5)], [], Phase.FAILED, "CRASHED", "failed 4 times, at last: the program ended with exit code 1: it broke"),
    ("failed, memory", job(FAILED_BACKOFF), [ended(1, 1), ended(2, 137, "OOMKilled")], [], Phase.FAILED, "OUT_OF_MEMORY", "64Mi"),
    ("failed, pods gone", job(FAILED_BACKOFF), [], [], Phase.FAILED, "CRASHED", "backoff limit"),
    ("failed, deadline", job(FAILED_DEADLINE), [ended(1, 75)], [], Phase.FAILED, "DEADLINE", "60 s"),
    ("failed otherwise", job(condition("Failed", "Strange", "words")), [], [], Phase.FAILED, "JOB_FAILED", "Strange: words"),
    ("failing, and saves", job(condition("FailureTarget", "DeadlineExceeded")), [pod(1, "Running", deleting=True)], [], Phase.STOPPING, "DEADLINE", ""),
    ("failing, and gone", job(condition("FailureTarget", "PodFailurePolicy", POLICY)), [ended(1, 44)], [], Phase.RUNNING, "NOT_FINITE", ""),
    ("being deleted, and saves", job(deleting=True), [pod(1, "Running", deleting=True)], [], Phase.STOPPING, "STOPPING", ""),
    ("being deleted, and gone", job(deleting=True), [ended(1, 75)], [], None, "", ""),
    ("being deleted, failed before", job(FAILED_POLICY, deleting=True), [ended(1, 42)], [], None, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("it", "pods", "events", "phase", "reason", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_where_a_job_is_and_why(
    it: Any, pods: list[Any], events: list[Any], phase: Phase | None, reason: str, words: str
) -> None:
    status = status_of(it, pods, events)
    if phase is None:
        assert status is None
        return
    assert status is not None
    assert (status.phase, status.reason) == (phase, reason)
    assert words in status.message
    assert bool(status.reason) == bool(status.message)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_events_are_asked_for_where_they_matter(case: Any) -> None:
    _, it, pods, events, _, _, _ = case
    if not needs_events(it, pods):
        assert status_of(it, pods, events) == status_of(it, pods, [])


def test_a_job_that_starts_no_pod_any_more_is_over() -> None:
    over = {case[0] for case in CASES if is_over(case[1])}
    assert over == {c[0] for c in CASES if c[0].startswith(("complete", "as good", "fail", "being deleted,"))}


@pytest.mark.parametrize(
    "message", ["", "x" * 10_000, "{", "[]", "null", '{"reason": 5, "message": "m"}', '{"message": 3}']
)
def test_whatever_a_program_says_is_borne(message: str) -> None:
    end = end_of(ended(1, 3, message=message))
    assert end.reason == "CRASHED"
    assert len(end.message) < 2000
    assert "exit code 3" in end.message


def test_codes_have_reasons_without_a_pod() -> None:
    reasons = {code: end_by_code(code).reason for code in (42, 43, 44, 45, 1)}
    assert reasons == {
        42: "BAD_CONFIGURATION",
        43: "OUT_OF_MEMORY",
        44: "NOT_FINITE",
        45: "NO_PROGRESS",
        1: "CRASHED",
    }
