import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from bookmill.v1 import object_pb2
from bookmill.v1.train_pb2 import TrainingResult, TrainingSpec
from services.common.errors import Exhausted, InvalidInput, NotFound, Unavailable
from services.jobs.following import Jobs
from services.jobs.kinds import JobView
from services.jobs.records import JobRecords, Outcome
from tests.support.fake_job import STEP
from tests.support.fake_jobs import KIND, Workplace, fake_spec
from tests.support.gate import Gate
from tests.support.waiting import eventually

View = JobView[TrainingSpec, TrainingResult]
FakeJobs = Jobs[TrainingSpec, TrainingResult]
SLOW = {"steps": 20, "seconds": 0.01}


@pytest.fixture
async def jobs(place: Workplace) -> AsyncIterator[FakeJobs]:
    jobs = place.jobs()
    yield jobs
    await jobs.close()


async def end(jobs: FakeJobs, name: str) -> View:
    """Watches a job to its end."""
    async with asyncio.timeout(60):
        views = [view async for view in jobs.watch(name)]
    assert [view.final for view in views] == [False] * (len(views) - 1) + [True]
    return views[-1]


async def at_step(place: Workplace, step: int) -> None:
    async def steps() -> int:
        return max((int(row[2]) for row in place.lines("step")), default=-1)

    await eventually(steps, lambda seen: seen >= step)


async def until(jobs: FakeJobs, name: str, state: object_pb2.State.ValueType) -> View:
    return await eventually(lambda: jobs.get(name), lambda view: view.state == state)


async def test_a_job_runs_to_its_result(jobs: FakeJobs, place: Workplace) -> None:
    spec = fake_spec(steps=5)
    made = await jobs.create(spec, retry=False)
    assert made.name == f"trainingJobs/train-{STEP.key(spec)[:20]}"
    assert made.state in {object_pb2.STATE_PENDING, object_pb2.STATE_RUNNING}
    done = await end(jobs, made.name)
    assert done.state == object_pb2.STATE_SUCCEEDED
    assert done.result is not None
    assert done.result.steps == 5
    assert done.progress is not None
    assert (done.progress.completed, done.progress.total, done.progress.unit) == (5, 5, "steps")
    assert done.spec == spec
    again = await jobs.create(spec, retry=True)
    assert again.state == object_pb2.STATE_SUCCEEDED
    assert len(place.pids()) == 1


async def test_two_creates_at_once_make_one_process(place: Workplace) -> None:
    first, second = place.jobs(), place.jobs()
    try:
        spec = fake_spec(steps=10, seconds=0.02)
        views = await asyncio.gather(*(jobs.create(spec, False) for jobs in (first, first, second, second)))
        assert len({view.name for view in views}) == 1
        ends = await asyncio.gather(end(first, views[0].name), end(second, views[0].name))
        assert {view.state for view in ends} == {object_pb2.STATE_SUCCEEDED}
        assert len(place.pids()) == 1
        assert [row[2] for row in place.lines("step")] == [str(n) for n in range(10)]
    finally:
        await first.close()
        await second.close()


async def test_a_killed_program_goes_on_from_its_checkpoint(jobs: FakeJobs, place: Workplace) -> None:
    place.hold()
    made = await jobs.create(fake_spec(**SLOW), False)
    await at_step(place, 9)
    place.release()
    os.kill(place.pids()[0], signal.SIGKILL)
    assert (await end(jobs, made.name)).state == object_pb2.STATE_SUCCEEDED
    assert len(place.pids()) == 2
    assert int(place.lines("start")[1][2]) >= 4


@pytest.mark.parametrize(
    ("behaviour", "reason", "starts"),
    [("crash", "CRASHED", 4), ("bad", "NO_SPLIT", 1), ("interrupt", "NO_PROGRESS", 1)],
)
async def test_a_job_fails_with_its_reason(
    jobs: FakeJobs, place: Workplace, behaviour: str, reason: str, starts: int
) -> None:
    spec = fake_spec(behaviour, steps=2, checkpoint=9)
    if behaviour == "interrupt":
        for _ in range(4):
            JobRecords(place.store).begin_attempt(STEP.key(spec))
    made = await jobs.create(spec, False)
    failed = await end(jobs, made.name)
    assert failed.state == object_pb2.STATE_FAILED
    assert failed.reason is not None
    assert failed.reason.reason == reason
    assert failed.reason.message
    if behaviour == "crash":
        assert "a defect of the body" in failed.reason.message
    assert len(place.pids()) == starts
    assert (await jobs.create(spec, False)).state == object_pb2.STATE_FAILED
    assert len(place.pids()) == starts


async def test_a_job_that_failed_is_run_again_when_a_retry_is_asked_for(jobs: FakeJobs, place: Workplace) -> None:
    spec = fake_spec("bad")
    for starts in (1, 2):
        made = await jobs.create(spec, True)
        assert not made.final
        assert (await end(jobs, made.name)).state == object_pb2.STATE_FAILED
        assert len(place.pids()) == starts


async def test_a_store_that_is_gone_for_a_moment_is_waited_for(place: Workplace) -> None:
    gate = Gate(place.environment["BOOKMILL_STORE_ENDPOINT"])
    behind = place.behind(gate)
    jobs = behind.jobs()
    behind.hold()
    made = await jobs.create(fake_spec(**SLOW), False)
    await at_step(place, 9)
    watching = jobs.watch(made.name)
    assert (await anext(watching)).state == object_pb2.STATE_RUNNING
    gate.shut()
    # The next checkpoint cannot be written, the program ends, and its next attempt waits.
    behind.release()
    launcher = behind.launcher()
    await eventually(lambda: launcher.status(STEP.key(made.spec)), lambda status: status is None)
    gate.open()
    states = [view.state async for view in watching]
    assert states[-1] == object_pb2.STATE_SUCCEEDED
    assert place.lines("start")[1][2] in {"8", "10"}, "it went on from its checkpoint"
    await jobs.close()


async def test_cancel_saves_the_state_and_a_new_create_goes_on(jobs: FakeJobs, place: Workplace) -> None:
    spec = fake_spec(**SLOW, checkpoint=100)
    place.hold()
    made = await jobs.create(spec, False)
    await at_step(place, 9)
    asked = await jobs.cancel(made.name)
    assert asked.state == object_pb2.STATE_CANCELLING
    cancelled = await end(jobs, made.name)
    assert cancelled.state == object_pb2.STATE_CANCELLED
    assert (await jobs.cancel(made.name)).state == object_pb2.STATE_CANCELLED
    assert (await jobs.get(made.name)).state == object_pb2.STATE_CANCELLED
    assert len(place.pids()) == 1
    place.release()
    await jobs.create(spec, False)
    assert (await end(jobs, made.name)).state == object_pb2.STATE_SUCCEEDED
    assert place.lines("start")[1][2] == place.lines("interrupted")[0][2]


async def test_what_does_not_stop_is_killed(place: Workplace) -> None:
    jobs = place.jobs(grace_seconds=1.0)
    place.hold()
    made = await jobs.create(fake_spec("hang", **SLOW), False)
    await at_step(place, 9)
    await jobs.cancel(made.name)
    assert (await end(jobs, made.name)).state == object_pb2.STATE_CANCELLED
    await eventually(lambda: _alive(place.pids()[0]), lambda alive: not alive)
    await jobs.close()


async def test_a_job_waits_for_its_turn_and_too_many_are_refused(place: Workplace) -> None:
    jobs = place.jobs(queued_jobs=1)
    place.hold()
    first = await jobs.create(fake_spec(**SLOW), False)
    await until(jobs, first.name, object_pb2.STATE_RUNNING)
    second = await jobs.create(fake_spec(seed=2), False)
    assert second.state == object_pb2.STATE_PENDING
    assert second.reason is not None
    assert second.reason.reason == "QUEUED"
    with pytest.raises(Exhausted, match="TOO_MANY_JOBS"):
        await jobs.create(fake_spec(seed=3), False)
    with pytest.raises(NotFound, match="NO_SUCH_JOB"):
        await jobs.get(KIND.name(STEP.key(fake_spec(seed=3))))
    # One that waits is cancelled at once.
    assert (await jobs.cancel(second.name)).state == object_pb2.STATE_CANCELLED
    third = await jobs.create(fake_spec(seed=3), False)
    await jobs.cancel(first.name)
    await eventually(lambda: jobs.get(first.name), lambda view: view.final)
    place.release()
    assert (await end(jobs, third.name)).state == object_pb2.STATE_SUCCEEDED
    assert (await jobs.get(first.name)).state == object_pb2.STATE_CANCELLED
    await jobs.close()


async def test_a_service_that_stops_leaves_checkpoints_and_the_next_goes_on(place: Workplace) -> None:
    before = place.jobs()
    place.hold()
    made = await before.create(fake_spec(**SLOW, checkpoint=100), False)
    queued = await before.create(fake_spec(seed=2), False)
    await at_step(place, 9)
    await before.close()
    place.release()
    assert len(place.lines("interrupted")) == 1
    with pytest.raises(Unavailable, match="STOPPING"):
        await before.get(made.name)
    after = place.jobs(concurrent_jobs=2)
    await after.resume()
    assert (await end(after, queued.name)).state == object_pb2.STATE_SUCCEEDED
    assert (await end(after, made.name)).state == object_pb2.STATE_SUCCEEDED
    assert [row[2] for row in place.lines("step")].count("1") == 2, "one of each job: nothing was done twice"
    await after.close()


async def test_one_service_cancels_what_another_runs(place: Workplace) -> None:
    one, other = place.jobs(), place.jobs()
    place.hold()
    made = await one.create(fake_spec(**SLOW), False)
    await at_step(place, 9)
    assert (await other.get(made.name)).state == object_pb2.STATE_RUNNING
    await other.cancel(made.name)
    assert (await end(one, made.name)).state == object_pb2.STATE_CANCELLED
    assert (await end(other, made.name)).state == object_pb2.STATE_CANCELLED
    assert len(place.pids()) == 1
    await other.close()
    await one.close()


async def test_a_service_that_stops_leaves_what_another_runs(place: Workplace) -> None:
    one, other = place.jobs(), place.jobs()
    place.hold()
    made = await one.create(fake_spec(**SLOW), False)
    await at_step(place, 9)
    await other.create(fake_spec(**SLOW), False)
    await other.close()
    place.release()
    assert (await end(one, made.name)).state == object_pb2.STATE_SUCCEEDED
    assert len(place.pids()) == 1
    await one.close()


async def test_an_outcome_that_could_not_be_written_by_the_program_is_written_for_it(place: Workplace) -> None:
    jobs = place.jobs()
    spec = fake_spec("memory")
    job = STEP.key(spec)
    made = await jobs.create(spec, False)
    await end(jobs, made.name)
    assert JobRecords(place.store).outcome(job) == Outcome(
        "FAILED", "OUT_OF_MEMORY", "out of memory: ; take a smaller batch, context or model", 43
    )
    await jobs.close()


async def test_jobs_are_listed_by_name_in_pages(jobs: FakeJobs, place: Workplace) -> None:
    specs = {STEP.key(spec): spec for spec in (fake_spec("bad", seed=n) for n in range(1, 6))}
    records = JobRecords(place.store)
    for job, spec in specs.items():
        records.put_request(STEP, job, spec)
        records.put_outcome(job, Outcome("FAILED", "CRASHED", "as a test wants it"))
    names = [KIND.name(job) for job in sorted(specs)]
    seen, token = [], ""
    for size in (2, 2, 1):
        views, token = await jobs.page(2, token)
        assert len(views) == size
        assert bool(token) == (size == 2)
        seen += [view.name for view in views]
    assert seen == names
    assert [view.name for view in (await jobs.page(0, ""))[0]] == names
    for size, page_token, reason in ((-1, "", "BAD_PAGE_SIZE"), (101, "", "BAD_PAGE_SIZE"), (0, "x", "BAD_PAGE_TOKEN")):
        with pytest.raises(InvalidInput, match=reason):
            await jobs.page(size, page_token)


@pytest.mark.parametrize(
    "name", ["", "trainingJobs/x", "exportJobs/train-" + "0" * 20, "trainingJobs/train-" + "0" * 20]
)
async def test_a_name_of_no_job_is_not_found(jobs: FakeJobs, name: str) -> None:
    for call in (jobs.get(name), jobs.cancel(name), anext(jobs.watch(name))):
        with pytest.raises(NotFound, match="NO_SUCH_JOB"):
            await call


async def test_what_an_earlier_version_left_is_not_run(jobs: FakeJobs, place: Workplace) -> None:
    spec = fake_spec()
    JobRecords(place.store).put_request(STEP, "0" * 64, spec)
    await jobs.resume()
    view = await jobs.get(KIND.name("0" * 64))
    assert view.state == object_pb2.STATE_FAILED
    assert view.reason is not None
    assert view.reason.reason == "OUTDATED"
    assert place.pids() == []


async def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
