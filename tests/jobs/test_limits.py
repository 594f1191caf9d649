"""Limits of the queue at the limit: what is just below passes, and what is just above does not."""

import asyncio
import sys
import time

import pytest
from addonkit.database.sql import execute, fetch
from addonkit.jobs import job as job_module
from addonkit.jobs import leases, missed, queue, schedules, selection, suspects, throttle, worker
from addonkit.jobs import running as running_module
from addonkit.jobs import writer as writer_module
from addonkit.jobs.done import MOVE_AFTER_S, move_done
from addonkit.jobs.job import LeasedJob, paused
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.running import RunningJobs
from addonkit.jobs.suspects import SuspectRunner
from addonkit.jobs.throttle import Throttle
from addonkit.jobs.worker import JobWorker
from addonkit.jobs.writer import WebhookWriter
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, JobSpec, NewJob
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


@pytest.mark.parametrize(("limit", "injected"), [(256, None), (1, 1), (3, 3)], ids=["as shipped", "1", "3"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_writer_stores_up_to_its_maximum_number_of_rows_in_one_transaction(monkeypatch, limit, injected, more):
    batches = []

    async def commit(jobs):
        batches.append(len(jobs))

    monkeypatch.setattr(writer_module, "_commit", commit)
    if injected is not None:
        monkeypatch.setattr(writer_module, "MAX_BATCH_ROWS", injected)
    writer, job = WebhookWriter(1000, 1000), NewJob("p", "n", JobKind.WEBHOOK, b"{}", tenant_id=1)
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


@pytest.mark.parametrize(("close_s", "injected"), [(5, None), (60, 60.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_closed"), [(-TICK, False), (TICK, True)], ids=["below", "above"])
async def test_writer_that_closes_waits_for_what_it_writes_up_to_its_time(
    monkeypatch, close_s, injected, late_s, is_closed
):
    if injected is not None:
        monkeypatch.setattr(writer_module, "CLOSE_S", injected)
    goes_on = asyncio.Event()

    async def commit(jobs):
        await goes_on.wait()

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer, clock, closed = WebhookWriter(10, 1000), LoopClock(monkeypatch), []

    async def serve():
        async with writer.accepting():
            storing.append(asyncio.create_task(writer.store(NewJob("p", "n", JobKind.WEBHOOK, b"{}", tenant_id=1))))
            await asyncio.sleep(0)
        closed.append(True)

    storing = []
    serving = asyncio.create_task(serve())
    await clock.advance(0)
    await clock.advance(close_s + late_s)
    assert bool(closed) == is_closed
    goes_on.set()
    await asyncio.gather(serving, *storing)


@pytest.mark.parametrize(("most", "injected"), [(128, None), (4, 4)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1, 5], ids=["below", "at", "above", "far above"])
async def test_jobs_are_inserted_by_few_different_statements_of_at_most_so_many_rows(
    database, monkeypatch, most, injected, more
):
    if injected is not None:
        monkeypatch.setattr(queue, "MAX_ROWS_PER_STATEMENT", injected)
    sizes, real = [], queue.execute

    async def execute_and_count(statement, values):
        sizes.append(statement.count("UNIX_TIME()") // 2)
        return await real(statement, values)

    monkeypatch.setattr(queue, "execute", execute_and_count)
    await queue.insert_jobs([NewJob("p", "n", JobKind.JOB, b"{}", tenant_id=1) for _ in range(most + more)])
    [row] = await fetch("SELECT count(*) AS number FROM addonkit_job")
    assert row["number"] == sum(sizes) == most + more
    assert max(sizes) == (most if more >= 0 else most // 2)
    assert all(size & (size - 1) == 0 for size in sizes)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 16])
async def test_repeated_webhooks_are_looked_for_by_few_different_statements(database, monkeypatch, count):
    from addonkit.jobs import done

    statements, real = [], done.fetch

    async def fetch_and_note(statement, values):
        statements.append(statement)
        return await real(statement, values)

    monkeypatch.setattr(done, "fetch", fetch_and_note)
    webhooks = [NewJob("p", "n", JobKind.WEBHOOK, b"{}", dedupe=f"d{one}", tenant_id=1) for one in range(count)]
    assert not await done.delete_repeated(webhooks, [1] * count)
    assert [one.count(done.KEY) for one in statements] == [1 << (count - 1).bit_length()]


@pytest.mark.parametrize(("most", "injected"), [(100, None), (2, 2)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_outages_are_recorded_for_so_many_sites_in_one_transaction(monkeypatch, most, injected, more, database):
    if injected is not None:
        monkeypatch.setattr(missed, "BATCH", injected)
    batches = []

    async def record(sites, plugins):
        batches.append(list(sites))

    monkeypatch.setattr(missed, "_record", record)
    await missed.record_missed(dict.fromkeys(range(most + more), 1.0), ["p"])
    assert [len(batch) for batch in batches] == ([most, 1] if more > 0 else [most + more])
    assert sorted(site for batch in batches for site in batch) == list(range(most + more))


@pytest.mark.parametrize(("quiet_s", "injected"), [(10, None), (77, 77.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("refusals", [1, 2, 3])
async def test_outage_has_ended_after_some_seconds_without_a_refusal(
    database, monkeypatch, clock, quiet_s, injected, refusals
):
    if injected is not None:
        monkeypatch.setattr(missed, "QUIET_S", injected)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    await execute(
        "INSERT INTO addonkit_tenant (id, key, product, base_url, display_url, state, installed_iat, created_at, "
        "updated_at) VALUES (1, 'k', 'confluence', 'https://x', 'https://x', 'enabled', 1, '2024-01-01 00:00:00', "
        "'2024-01-01 00:00:00')"
    )
    for number in range(refusals):
        clock.set(1_000_000.0 + number)
        await missed.record_missed({1: 100.0}, ["p"])
    rows = await fetch("SELECT due_at, state FROM addonkit_job")
    assert [(row["due_at"], row["state"]) for row in rows] == [(1_000_000.0 + refusals - 1 + quiet_s, "waiting")]


@pytest.mark.parametrize(("pause_s", "injected"), [(300, None), (7, 7.0)], ids=["as shipped", "changed"])
def test_job_that_waits_for_an_approval_is_tried_again_after_its_pause(monkeypatch, pause_s, injected):
    if injected is not None:
        monkeypatch.setattr(job_module, "APPROVAL_PAUSE_S", injected)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    result = paused(leased(), "a scope is missing")
    assert (result.due_at, result.failures, result.counts, result.reason) == (5000.0 + pause_s, 0, False, "scope")


@pytest.mark.parametrize(("most", "injected"), [(5, None), (2, 2)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("more", "state"), [(-2, "ready"), (-1, "dead"), (0, "dead")], ids=["below", "at", "above"])
async def test_lost_job_is_dead_at_its_maximum_number_of_deaths(database, monkeypatch, most, injected, more, state):
    if injected is not None:
        monkeypatch.setattr(leases, "MAX_DEATHS", injected)
    await execute(INSERT, [1, b"{}", "running", 0.0, None])
    await execute("UPDATE addonkit_job SET worker = 'w', lease_until = 1, deaths = ?", [most + more])
    await leases.release_expired_leases()
    assert [row["state"] for row in await fetch("SELECT state FROM addonkit_job")] == [state]


@pytest.mark.parametrize(("delay_s", "injected"), [(1, None), (9, 9.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(
    ("late_s", "is_delayed"), [(-TICK, False), (0, True), (TICK, True)], ids=["below", "at", "above"]
)
def test_job_of_a_schedule_is_delayed_from_a_minimum(monkeypatch, delay_s, injected, late_s, is_delayed):
    if injected is not None:
        monkeypatch.setattr(schedules, "MIN_DELAY_S", injected)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    job = schedules._job(JobSpec("p", "n", JobKind.SCHEDULE, lambda _: None), 1, delay_s + late_s)
    assert job.due_at == (5000.0 + delay_s + late_s if is_delayed else 0.0)
    assert schedules._job(JobSpec("p", "n", JobKind.SCHEDULE, lambda _: None), 1).due_at == 0.0


def throttled(monkeypatch, busy_s=3600.0):
    """A throttle whose clock stands still at 1000."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    made = Throttle()
    made.busy_at = 1000.0 + busy_s
    return made


@pytest.mark.parametrize(
    ("name", "number", "injected", "used_s", "pause_s"),
    [
        ("IDLE_SHARE", 8, None, 0.1, 0.8 - 0.03),
        ("IDLE_SHARE", 8, 2, 0.1, 0.2 - 0.03),
        ("CREDIT_S", 0.03, None, 0.01, 0.05),
        ("CREDIT_S", 0.03, 0.0, 0.01, 0.08),
        ("MAX_PAUSE_S", 2.0, None, 1.0, 2.0),
        ("MAX_PAUSE_S", 2.0, 5.0, 1.0, 5.0),
    ],
    ids=["share", "share, changed", "credit", "credit, changed", "bound", "bound, changed"],
)
def test_handler_waits_by_the_time_that_it_used(monkeypatch, name, number, injected, used_s, pause_s):
    if injected is not None:
        monkeypatch.setattr(throttle, name, injected)
    made = throttled(monkeypatch)
    made.used(used_s)
    assert made.pause_s() == pytest.approx(pause_s)


@pytest.mark.parametrize(("busy_s", "injected"), [(0.2, None), (4.0, 4.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_busy"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
def test_process_is_busy_for_a_time_after_a_request(monkeypatch, busy_s, injected, late_s, is_busy):
    if injected is not None:
        monkeypatch.setattr(throttle, "BUSY_S", injected)
    assert throttled(monkeypatch, -busy_s - late_s).is_busy() == is_busy


@pytest.mark.parametrize(("shortest_s", "injected"), [(0.001, None), (0.5, 0.5)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("share", "waits"), [(0.9, False), (1.1, True)], ids=["below", "above"])
def test_pause_that_is_too_short_for_a_timer_is_left_for_later(monkeypatch, shortest_s, injected, share, waits):
    if injected is not None:
        monkeypatch.setattr(throttle, "MIN_PAUSE_S", injected)
    made = throttled(monkeypatch)
    made._free_at = 1000.0 + share * shortest_s
    assert (made.pause_s() > 0) == waits
