"""Limits of the queue at the limit: what is just below passes, and what is just above does not."""

import asyncio
import sys
import time

import pytest
from addonkit.database.sql import execute, fetch
from addonkit.jobs import running as running_module
from addonkit.jobs import selection, suspects, worker
from addonkit.jobs import writer as writer_module
from addonkit.jobs.done import MOVE_AFTER_S, move_done
from addonkit.jobs.job import LeasedJob
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.running import RunningJobs
from addonkit.jobs.suspects import SuspectRunner
from addonkit.jobs.worker import JobWorker
from addonkit.jobs.writer import WebhookWriter
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, NewJob
from structlog.testing import capture_logs

from tests.support.loop_clock import LoopClock

TICK = 0.001
INSERT = """INSERT INTO addonkit_job (id, tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, created_at, finished_at) VALUES (?, 1, 'p', 'n', 'job', ?, 1, '{}', ?, 0, 1, 0, 0, ?, ?)"""


@pytest.fixture
async def database(location):
    """An open database without jobs."""
    async with tenant_database(location, {}):
        yield


def leased(number=1):
    return LeasedJob(number, 1, "p", "n", JobKind.JOB, b"{}", 1, {}, None, None, 1, 0, 0.0)


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_writer_stores_up_to_its_maximum_number_of_rows_in_one_transaction(monkeypatch, limit, more):
    batches = []

    async def commit(jobs):
        batches.append(len(jobs))

    monkeypatch.setattr(writer_module, "_commit", commit)
    monkeypatch.setattr(writer_module, "MAX_BATCH_ROWS", limit)
    writer, job = WebhookWriter(100, 1000), NewJob("p", "n", JobKind.WEBHOOK, b"{}", tenant_id=1)
    await asyncio.gather(*(writer.store(job) for _ in range(limit + more)))
    assert batches == [size for size in ([limit, 1] if more > 0 else [limit + more]) if size]


@pytest.mark.parametrize("bound", [7, 64])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_writer_reserves_up_to_its_maximum_of_bytes(bound, more):
    writer = WebhookWriter(10, bound)
    with writer.reserve() as first, writer.reserve() as second:
        first.take(5)
        if more > 0:
            with pytest.raises(writer_module.QueueFull):
                second.take(bound + more - 5)
        else:
            second.take(bound + more - 5)
    assert writer.size == 0


@pytest.mark.parametrize(
    ("error_s", "injected"), [(3600, None), (100, 100.0), (5, 5.0)], ids=["as shipped", "100 s", "5 s"]
)
@pytest.mark.parametrize(("more", "is_found"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
async def test_list_since_a_time_tolerates_an_error_of_the_clock(
    database, monkeypatch, error_s, injected, more, is_found
):
    """The clock was set back between the first two jobs: a search by halves ends behind the second if it may."""
    if injected:
        monkeypatch.setattr(selection, "MAX_CLOCK_ERROR_S", injected)
    since = 50_000.0
    for number, created in enumerate([since + 5, since - error_s - more, since + 10], 1):
        await execute(INSERT, [number, b"{}", "ready", created, None])
    found = await selection.select_ids(JobFilter(since=since), 10, oldest_first=True)
    assert found == ([1, 3] if is_found else [3])


@pytest.mark.parametrize("after_s", [MOVE_AFTER_S, 3600.0, 40_000.0], ids=["as shipped", "hour", "hours"])
@pytest.mark.parametrize(("age_s", "moved"), [(-30, 0), (1, 1)], ids=["below", "above"])
async def test_done_job_is_moved_once_it_is_old_enough(database, after_s, age_s, moved):
    await execute(INSERT, [1, b"{}", "done", 0.0, time.time() - after_s - age_s])
    assert await (move_done(0) if after_s == MOVE_AFTER_S else move_done(0, after_s)) == moved
    assert len(await fetch("SELECT id FROM addonkit_done_job")) == moved


@pytest.mark.parametrize(("limit", "injected"), [(2, None), (4, 4)], ids=["as shipped", "changed"])
async def test_suspect_runs_in_this_process_after_its_maximum_number_of_failed_starts(monkeypatch, limit, injected):
    if injected:
        monkeypatch.setattr(suspects, "MAX_FAILED_STARTS", injected)
    runner, in_process = suspect_runner(monkeypatch, [sys.executable, "-c", "raise SystemExit(3)"])
    with capture_logs() as lines:
        for number in range(limit + 1):
            assert len(in_process) == 0
            assert len(lines) == (number >= limit)
            assert await runner._run_next()
    assert len(in_process) == 1
    assert [line["event"] for line in lines] == ["suspects.child_failed"]


@pytest.mark.parametrize("succeeds", ["exit", "lost job"])
async def test_suspect_child_that_took_a_job_resets_the_failed_starts(monkeypatch, succeeds):
    monkeypatch.setattr(suspects, "MAX_FAILED_STARTS", 2)
    lost = []
    runner, in_process = suspect_runner(monkeypatch, ["/no/such/program"], lost)
    for _ in range(3):
        runner._command = ["/no/such/program"]
        assert await runner._run_next()
        runner._command = [sys.executable, "-c", f"raise SystemExit({0 if succeeds == 'exit' else 3})"]
        lost[:] = [] if succeeds == "exit" else [1]
        assert await runner._run_next()
    assert in_process == []


def suspect_runner(monkeypatch, command, lost=()):
    """A runner with a worker that records what it runs itself; ``lost`` has an item if a child died with its job."""
    in_process = []

    class Worker:
        name = "worker"

        async def run_suspect(self):
            in_process.append(1)
            return True

    async def yes():
        return True

    async def release(name, *, died):
        return len(lost)

    monkeypatch.setattr(suspects, "has_suspects", yes)
    monkeypatch.setattr(suspects, "release_worker", release)
    return SuspectRunner(Worker(), command, {}), in_process


@pytest.mark.parametrize(("cancel_s", "injected"), [(5, None), (60, 60.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "given_up"), [(-TICK, []), (TICK, [7])], ids=["below", "above"])
async def test_job_that_is_cancelled_has_its_time_to_end(monkeypatch, cancel_s, injected, late_s, given_up):
    if injected:
        monkeypatch.setattr(worker, "CANCEL_S", injected)
    left, clings, clock = [], asyncio.Event(), LoopClock(monkeypatch)

    async def leave(name, jobs):
        left.extend(jobs)

    async def cling():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await clings.wait()

    monkeypatch.setattr(worker, "leave_jobs", leave)
    jobs = JobWorker({}, None, concurrency=1, per_tenant=1, plugins=frozenset(), name="w")
    task = asyncio.create_task(cling())
    jobs._running.add(task, leased(7))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(jobs.stop(0))
    await clock.advance(0)
    await clock.advance(cancel_s + late_s)
    clings.set()
    assert not await stopping
    await task
    assert left == given_up


@pytest.mark.parametrize(("hung_s", "injected"), [(30, None), (4, 4.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_hung"), [(-TICK, False), (0, True)], ids=["below", "at"])
async def test_handler_hangs_from_its_time_after_its_limit(monkeypatch, hung_s, injected, late_s, is_hung):
    if injected:
        monkeypatch.setattr(running_module, "HUNG_AFTER_S", injected)
    now = [100.0]
    monkeypatch.setattr(running_module.time, "monotonic", lambda: now[0])
    jobs, task = RunningJobs({}), asyncio.create_task(asyncio.sleep(0))
    jobs.add(task, leased())
    now[0] += hung_s + late_s
    with capture_logs() as lines:
        assert not jobs.find_hung()
    assert [line["event"] for line in lines] == (["job.hung"] if is_hung else [])
    await task


@pytest.mark.parametrize(("most", "injected"), [(8, None), (2, 2)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_worker_is_exhausted_at_its_maximum_number_of_hung_handlers(monkeypatch, most, injected, more):
    if injected:
        monkeypatch.setattr(running_module, "MAX_HUNG", injected)
    monkeypatch.setattr(running_module, "HUNG_AFTER_S", 0.0)
    jobs, tasks = RunningJobs({}), [asyncio.create_task(asyncio.sleep(0)) for _ in range(most + more)]
    for number, task in enumerate(tasks):
        jobs.add(task, leased(number))
    assert not jobs.is_exhausted()
    assert jobs.find_hung() == jobs.is_exhausted() == (more >= 0)
    assert not jobs.find_hung()
    await asyncio.gather(*tasks)
