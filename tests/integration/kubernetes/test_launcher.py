"""The launcher on a real cluster, with the rights that the chart gives it; pods run a program that needs no store."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from bookmill.v1 import object_pb2
from bookmill.v1.train_pb2 import TrainingResult
from services.common.errors import Exhausted, NotFound, PermissionDenied, Refused
from services.common.steps import record
from services.common.storage import Store
from services.jobs.kubernetes.launcher import KubernetesLauncher
from services.jobs.launcher import Order, Phase, Status
from services.jobs.records import CANCELLED, JobRecords, Outcome
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, fake_spec
from tests.support.kind import CANARY, IMAGE, Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

Make = Callable[..., Any]
FINAL_SECONDS = 240.0

# No control plane has a GPU, not even where a worker is given one.
WITHOUT_GPU = {
    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
    "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
}
# How the settings differ, and what is told then.
WAITS: list[tuple[dict[str, Any], str, str]] = [
    ({"accelerator": "nvidia", **WITHOUT_GPU}, "UNSCHEDULABLE", "Insufficient nvidia.com/gpu"),
    ({"nodeSelector": {"no": "node"}}, "UNSCHEDULABLE", "node affinity/selector"),
    ({"image": "localhost:1/no:1"}, "IMAGE_PULL_FAILED", "localhost:1/no:1"),
    ({"image": "no:1", "imagePullPolicy": "Never"}, "IMAGE_PULL_FAILED", "ErrImageNeverPull"),
    ({"storeSecret": "no-such-secret"}, "CANNOT_START", "no-such-secret"),
    ({"queueName": "a-queue"}, "QUEUED", "a-queue"),
    ({"serviceAccountName": "no-such-account"}, "POD_REFUSED", "no-such-account"),
    ({"priorityClassName": "no-such-class"}, "POD_REFUSED", "no-such-class"),
    ({"runtimeClassName": "no-such-runtime"}, "POD_REFUSED", "no-such-runtime"),
]


def order_of(behaviour: str, seed: int = 1) -> Order:
    spec = fake_spec(behaviour, seed=seed)
    return KIND.order(STEP.key(spec), spec)


async def until(launcher: KubernetesLauncher, order: Order, wanted: Callable[[Status | None], bool]) -> Status | None:
    return await eventually(lambda: launcher.status(order.job), wanted, FINAL_SECONDS)


def is_phase(phase: Phase, reason: str | None = None) -> Callable[[Status | None], bool]:
    return lambda s: s is not None and s.phase is phase and reason in {None, s.reason}


@pytest.fixture
async def launcher(launchers: Make) -> Any:
    return await launchers()


async def test_a_program_finds_its_files_and_no_token(launcher: KubernetesLauncher, namespace: Namespace) -> None:
    order = order_of("files")
    await launcher.start(order)
    assert await launcher.status(order.job) is not None
    assert await until(launcher, order, lambda s: s is None or s.phase is Phase.FAILED) is None
    job = namespace.get("job", order.name)
    assert job is not None
    assert job["status"]["succeeded"] == 1
    assert job["metadata"]["ownerReferences"][0]["name"] == "owner"
    for kind in ("job", "pods", "events"):
        assert CANARY not in namespace.kubectl("get", kind, "-o", "yaml")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("exit 42", "BAD_CONFIGURATION"),
        ("exit 43", "OUT_OF_MEMORY"),
        ("exit 44", "NOT_FINITE"),
        ("exit 45", "NO_PROGRESS"),
        ("told 42 NO_SPLIT", "NO_SPLIT"),
    ],
)
async def test_a_final_end_fails_the_job_at_once(
    launcher: KubernetesLauncher, namespace: Namespace, behaviour: str, reason: str
) -> None:
    order = order_of(behaviour)
    await launcher.start(order)
    status = await until(launcher, order, is_phase(Phase.FAILED))
    assert status is not None
    assert status.reason == reason
    assert len(namespace.pods(order.name)) == 1


@pytest.mark.slow
async def test_a_crash_and_a_lack_of_memory_are_tried_four_times(
    launcher: KubernetesLauncher, namespace: Namespace
) -> None:
    orders = {
        "CRASHED": order_of("exit 1"),
        "OUT_OF_MEMORY": order_of("memory"),
        "STORE_FULL": order_of("told 1 STORE_FULL"),
    }
    for order in orders.values():
        await launcher.start(order)
    # Between two attempts the reason is told as well.
    await until(launcher, orders["CRASHED"], is_phase(Phase.WAITING, "CRASHED"))
    for reason, order in orders.items():
        status = await until(launcher, order, is_phase(Phase.FAILED))
        assert status is not None
        assert status.reason == reason
        assert "4 times" in status.message
        assert len(namespace.pods(order.name)) == 4


async def test_an_exit_75_is_no_failure(launcher: KubernetesLauncher, namespace: Namespace) -> None:
    order = order_of(f"until {time.time() + 6}")
    await launcher.start(order)
    assert await until(launcher, order, lambda s: s is None or s.phase is Phase.FAILED) is None
    job = namespace.get("job", order.name)
    assert job is not None
    assert job["status"].get("failed", 0) == 0
    assert len(namespace.pods(order.name)) > 1


@pytest.mark.parametrize(("settings", "reason", "words"), WAITS)
async def test_a_job_that_waits_says_why(
    launchers: Make, namespace: Namespace, settings: dict[str, Any], reason: str, words: str
) -> None:
    launcher = await launchers(**settings)
    order = order_of("exit 0", seed=100 + WAITS.index((settings, reason, words)))
    await launcher.start(order)
    status = await until(launcher, order, is_phase(Phase.WAITING, reason))
    assert status is not None
    assert words in status.message
    await launcher.stop(order.job)
    await until(launcher, order, lambda s: s is None)


async def test_a_deadline_lets_the_program_save_its_state(launchers: Make) -> None:
    launcher = await launchers(activeDeadlineSeconds=8)
    order = order_of("hold 3", seed=2)
    await launcher.start(order)
    saving = await until(launcher, order, lambda s: s is not None and s.phase in {Phase.STOPPING, Phase.FAILED})
    assert saving == Status(Phase.STOPPING, "DEADLINE", saving.message if saving else "")
    failed = await until(launcher, order, is_phase(Phase.FAILED))
    assert failed is not None
    assert failed.reason == "DEADLINE"
    assert "8 s" in failed.message


async def test_a_job_is_made_once_and_cancelled_with_grace(jobs: Make, namespace: Namespace, store: Store) -> None:
    one, other = await jobs(), await jobs()
    spec = fake_spec("hold 4", seed=3)
    views = await asyncio.gather(*(it.create(spec, False) for it in (one, other, one, other)))
    assert len({view.name for view in views}) == 1
    name = views[0].name
    await eventually(lambda: one.get(name), lambda v: v.state == object_pb2.STATE_RUNNING, FINAL_SECONDS)
    asked = await other.cancel(name)
    assert asked.state == object_pb2.STATE_CANCELLING
    last = await eventually(lambda: one.get(name), lambda v: v.final, FINAL_SECONDS)
    assert last.state == object_pb2.STATE_CANCELLED
    job = STEP.key(spec)
    await eventually(lambda: _there(namespace, KIND.id(job)), lambda there: not there, FINAL_SECONDS)
    assert JobRecords(store).outcome(job) is not None
    # Asked for anew it goes on, even while the one before is still there.
    again = await one.create(spec, False)
    assert not again.final
    await eventually(lambda: one.get(name), lambda v: v.state == object_pb2.STATE_RUNNING, FINAL_SECONDS)
    await one.cancel(name)
    at_once = await other.create(spec, False)
    assert not at_once.final
    uid = await eventually(lambda: _uid(namespace, KIND.id(job)), lambda uid: uid is not None)
    await eventually(lambda: other.get(name), lambda v: v.state == object_pb2.STATE_RUNNING, FINAL_SECONDS)
    assert await _uid(namespace, KIND.id(job)) != uid
    assert len(namespace.pods(KIND.id(job))) == 1
    await other.cancel(name)


async def test_a_failed_job_is_replaced_only_when_asked(jobs: Make, namespace: Namespace, store: Store) -> None:
    service = await jobs()
    spec = fake_spec("exit 42", seed=4)
    made = await service.create(spec, False)
    failed = await eventually(lambda: service.get(made.name), lambda v: v.final, FINAL_SECONDS)
    assert failed.reason.reason == "BAD_CONFIGURATION"
    job = STEP.key(spec)
    before = await _uid(namespace, KIND.id(job))
    assert (await service.create(spec, False)).state == object_pb2.STATE_FAILED
    await service.resume()
    assert await _uid(namespace, KIND.id(job)) == before
    assert not (await service.create(spec, True)).final
    assert JobRecords(store).outcome(job) is None
    again = await eventually(lambda: service.get(made.name), lambda v: v.final, FINAL_SECONDS)
    assert again.state == object_pb2.STATE_FAILED
    assert await _uid(namespace, KIND.id(job)) != before


async def test_a_failure_that_nobody_saw_is_written_down(
    jobs: Make, launcher: KubernetesLauncher, store: Store
) -> None:
    spec = fake_spec("exit 44", seed=5)
    order = KIND.order(STEP.key(spec), spec)
    await launcher.start(order)
    await until(launcher, order, is_phase(Phase.FAILED))
    assert JobRecords(store).outcome(order.job) is None
    await (await jobs()).resume()
    outcome = JobRecords(store).outcome(order.job)
    assert outcome is not None
    assert outcome.reason == "NOT_FINITE"


async def test_a_job_made_by_hand_is_found_and_followed(jobs: Make, namespace: Namespace, store: Store) -> None:
    service = await jobs()
    spec = fake_spec("hold 0", seed=6)
    made = await service.validated(spec)
    job = STEP.key(spec)
    with pytest.raises(NotFound, match="NO_SUCH_JOB"):
        await service.get(made.name)
    namespace.kubectl("create", "-f", "-", standard_input=made.manifest)
    uid = await _uid(namespace, KIND.id(job))
    assert (await service.get(made.name)).spec == spec
    await eventually(lambda: service.get(made.name), lambda v: v.state == object_pb2.STATE_RUNNING, FINAL_SECONDS)
    assert made.name in {view.name for view in (await service.page(0, ""))[0]}
    # Another service finds it too, and who asks for the same gets this one.
    assert (await (await jobs()).create(spec, False)).name == made.name
    assert await _uid(namespace, KIND.id(job)) == uid
    record(store, STEP, job, spec, TrainingResult(steps=3))
    assert (await service.get(made.name)).result.steps == 3
    await (await jobs()).cancel(made.name)


async def test_a_pod_that_loses_its_place_goes_on(launcher: KubernetesLauncher, namespace: Namespace) -> None:
    order = order_of("hold 3", seed=7)
    await launcher.start(order)
    await until(launcher, order, is_phase(Phase.RUNNING, ""))
    (pod,) = namespace.pods(order.name)
    metadata = {"name": pod["metadata"]["name"], "namespace": namespace.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{metadata['name']}/eviction"
    namespace.kubectl("create", "--raw", path, "-f", "-", standard_input=json.dumps(eviction))
    saving = await until(launcher, order, is_phase(Phase.RUNNING, "EVICTED"))
    assert saving is not None
    await until(launcher, order, is_phase(Phase.RUNNING, ""))
    assert (namespace.get("job", order.name) or {})["status"].get("failed", 0) == 0
    namespace.kubectl("delete", "pod", namespace.pods(order.name)[-1]["metadata"]["name"], "--wait=false")
    await until(launcher, order, is_phase(Phase.RUNNING, "INTERRUPTED"))
    await until(launcher, order, is_phase(Phase.RUNNING, ""))
    assert (namespace.get("job", order.name) or {})["status"].get("failed", 0) == 0
    await launcher.stop(order.job)


async def test_a_quota_is_said(launchers: Make, namespace: Namespace) -> None:
    launcher = await launchers()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": namespace.name},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    namespace.apply(quota)
    try:
        await eventually(lambda: _quota(namespace), bool)
        with pytest.raises(Exhausted, match="TOO_MANY_JOBS"):
            await launcher.start(order_of("exit 0", seed=8))
    finally:
        namespace.kubectl("delete", "resourcequota", "full")


async def test_what_the_cluster_does_not_take_is_refused(launchers: Make) -> None:
    launcher = await launchers(tolerations=[{"operator": "Exists", "value": "x"}])
    with pytest.raises(Refused, match="JOB_REFUSED"):
        await launcher.start(order_of("exit 0", seed=9))


async def test_an_owner_that_is_not_there_is_said(launchers: Make) -> None:
    with pytest.raises(PermissionDenied, match="CLUSTER_FORBIDDEN"):
        await launchers(owner={"apiVersion": "v1", "kind": "ConfigMap", "name": "another"})


async def test_a_cancelled_job_is_not_made_after_the_one_before_is_gone(
    launcher: KubernetesLauncher, namespace: Namespace, store: Store
) -> None:
    order = order_of("hold 3", seed=10)
    await launcher.start(order)
    await until(launcher, order, is_phase(Phase.RUNNING))
    await launcher.stop(order.job)
    assert is_phase(Phase.STOPPING)(await launcher.status(order.job))
    await launcher.start(order)
    assert is_phase(Phase.WAITING, "STOPPING")(await launcher.status(order.job))
    JobRecords(store).put_outcome(order.job, Outcome(CANCELLED, "CANCELLED", "by another service"))
    before = await _uid(namespace, order.name)
    await until(launcher, order, lambda s: s is None or s.phase is Phase.STOPPING)
    last = await eventually(lambda: _uid(namespace, order.name), lambda uid: uid != before)
    assert last is None


async def _there(namespace: Namespace, name: str) -> bool:
    return await asyncio.to_thread(namespace.get, "job", name) is not None


async def _uid(namespace: Namespace, name: str) -> str | None:
    job = await asyncio.to_thread(namespace.get, "job", name)
    return None if job is None else job["metadata"]["uid"]


async def _quota(namespace: Namespace) -> Any:
    return ((await asyncio.to_thread(namespace.get, "resourcequota", "full")) or {}).get("status", {}).get("hard")


async def test_a_gpu_is_taken_away_and_given_back(launchers: Make, namespace: Namespace) -> None:
    launcher = await launchers(accelerator="nvidia")
    node = json.loads(namespace.kubectl("get", "nodes", "-o", "json"))["items"][-1]["metadata"]["name"]
    capacity = "/status/capacity/nvidia.com~1gpu"
    patch = json.dumps([{"op": "add", "path": capacity, "value": "1"}])
    namespace.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": namespace.name}}
    namespace.apply({**urgent, "value": 1000})
    try:
        first, second = order_of("hold 3", seed=11), order_of("hold 3", seed=12)
        await launcher.start(first)
        await until(launcher, first, is_phase(Phase.RUNNING))
        await launcher.start(second)
        waits = await until(launcher, second, is_phase(Phase.WAITING, "UNSCHEDULABLE"))
        assert waits is not None
        assert "Insufficient nvidia.com/gpu" in waits.message
        await launcher.stop(second.job)
        namespace.apply(_greedy_pod(namespace))
        await until(launcher, first, is_phase(Phase.RUNNING, "PREEMPTED"))
        await until(launcher, first, is_phase(Phase.WAITING, "UNSCHEDULABLE"))
        namespace.kubectl("delete", "pod", "greedy", "--grace-period=0", "--force")
        await until(launcher, first, is_phase(Phase.RUNNING, ""))
        assert (namespace.get("job", first.name) or {})["status"].get("failed", 0) == 0
        await launcher.stop(first.job)
    finally:
        namespace.kubectl("delete", "priorityclass", namespace.name)
        gone = json.dumps([{"op": "remove", "path": capacity}])
        namespace.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", gone)


def _greedy_pod(namespace: Namespace) -> dict[str, Any]:
    context = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "greedy",
        "image": IMAGE,
        "command": ["sleep", "600"],
        "securityContext": context,
        "resources": {"limits": {"nvidia.com/gpu": "1", "cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": namespace.name},
        "spec": {"priorityClassName": namespace.name, "containers": [container]},
    }
