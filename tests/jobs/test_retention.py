"""Jobs that are done: their payloads and rows are deleted once they are old enough, in steps of any number."""

import time

import pytest
from addonkit.database.sql import execute, fetch
from addonkit.jobs import done, maintenance
from addonkit.jobs.counts import JobCounts
from addonkit.jobs.done import delete_done, drop_payloads, move_done
from addonkit.jobs.maintenance import hold_disabled_plugins, promote_due
from addonkit.jobs.worker import JobWorker
from addonkit.tenant_data.connection import tenant_database

NOW = 1_000_000.0
INSERT = """INSERT INTO addonkit_job (id, tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, created_at, finished_at) VALUES (?, 1, ?, 'n', 'job', ?, 1, '{}', ?, ?, 1, 0, 0, 0, ?)"""


@pytest.fixture(autouse=True)
async def _database(location, clock):
    clock.set(NOW)
    async with tenant_database(location, {}):
        yield


async def put(number, state, *, plugin="p", due_at=0.0, finished_at=None):
    await execute(INSERT, [number, plugin, b"{}", state, due_at, finished_at])


async def states():
    return {row["id"]: row["state"] for row in await fetch("SELECT id, state FROM addonkit_job ORDER BY id")}


@pytest.mark.parametrize("hours", [1, 48, 0.5])
@pytest.mark.parametrize(("late_s", "is_old"), [(-1, False), (0, False), (1, True)], ids=["below", "at", "above"])
@pytest.mark.parametrize("moved", [True, False], ids=["moved", "not moved"])
async def test_done_job_is_deleted_after_its_hours(hours, late_s, is_old, moved):
    await put(1, "done", finished_at=NOW - hours * 3600 - late_s)
    await put(2, "dead", finished_at=1.0)
    if moved:
        await move_done(1, after_s=0)
    assert await delete_done(hours) == is_old
    left = [row["id"] for row in await fetch("SELECT id FROM addonkit_done_job")] + list(await states())
    assert sorted(left) == ([2] if is_old else [1, 2])


@pytest.mark.parametrize("hours", [1, 48, 0.5])
@pytest.mark.parametrize(("late_s", "is_old"), [(-1, False), (0, False), (1, True)], ids=["below", "at", "above"])
async def test_payload_of_a_done_job_is_dropped_after_its_hours(hours, late_s, is_old):
    await put(1, "done", finished_at=NOW - hours * 3600 - late_s)
    await move_done(1, after_s=0)
    await drop_payloads(hours)
    [row] = await fetch("SELECT payload FROM addonkit_done_job")
    assert (row["payload"] is None) == is_old


@pytest.mark.parametrize("step", [1, 2, 3, 500])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 6])
async def test_done_jobs_are_moved_and_deleted_in_steps(monkeypatch, step, count):
    monkeypatch.setattr(done, "STEP_ROWS", step)
    for number in range(1, count + 1):
        await put(number, "done", finished_at=1.0)
    first = (count + 1) // 2
    moved = 0
    while moved < first and (found := await move_done(1)):
        assert found <= step
        moved += found
    await drop_payloads(1)
    rows = await fetch("SELECT payload FROM addonkit_done_job")
    assert [row["payload"] for row in rows] == [None] * moved
    assert await delete_done(1) == count
    assert await delete_done(1) == 0
    assert await states() == {}


@pytest.mark.parametrize(("hours", "is_kept"), [(0, False), (0.9, False), (1, True), (48, True)])
async def test_payload_of_a_moved_job_is_kept_if_the_setting_says_so(hours, is_kept):
    await put(1, "done", finished_at=1.0)
    assert await move_done(hours) == 1
    [row] = await fetch("SELECT payload FROM addonkit_done_job")
    assert (row["payload"] is not None) == is_kept


@pytest.mark.parametrize(("due_in_s", "state"), [(-60.0, "ready"), (0.0, "ready"), (0.5, "waiting"), (60.0, "waiting")])
async def test_waiting_job_is_ready_once_it_is_due(monkeypatch, due_in_s, state):
    monkeypatch.setattr(maintenance.time, "time", lambda: 5000.0)
    await put(1, "waiting", due_at=NOW + due_in_s)
    await put(2, "waiting", due_at=NOW + 999)
    assert await promote_due() == pytest.approx(5000.0 + due_in_s)
    assert await states() == {1: state, 2: "waiting"}


async def test_queue_without_waiting_jobs_has_no_next_time():
    await put(1, "ready")
    assert await promote_due() == float("inf")


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000])
async def test_all_jobs_of_a_plugin_that_is_off_are_held_and_released_again(count):
    for number in range(1, count + 1):
        await put(number, "ready")
    await put(5000, "ready", plugin="q")
    await hold_disabled_plugins({"q"})
    assert list((await states()).values()) == ["held"] * count + ["ready"]
    await hold_disabled_plugins({"p", "q"})
    assert list((await states()).values()) == ["ready"] * (count + 1)


@pytest.mark.parametrize("state", ["waiting", "ready", "blocked", "held", "running", "dead", "failing"])
def test_numbers_of_a_plugin_tell_unfinished_jobs_from_others(state):
    counts = JobCounts(**{state: 3})
    assert counts.pending == (0 if state in ("dead", "failing") else 3)
    assert not counts.is_empty()
    assert JobCounts().is_empty()
    assert JobCounts().pending == 0


def test_worker_tells_for_how_long_it_takes_no_more_jobs(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    worker = JobWorker({}, None, concurrency=3, per_tenant=1, plugins=frozenset())
    assert (worker.stopping_s(), worker.free()) == (0.0, 3)
    now[0] = 1010.0
    worker.stop_leasing()
    now[0] = 1012.5
    worker.stop_leasing()
    assert (worker.stopping_s(), worker.free()) == (2.5, 0)


@pytest.mark.parametrize("hostname", ["h", "host.example", "h" * 200])
def test_worker_has_a_name_of_its_own_that_fits_the_column(monkeypatch, hostname):
    monkeypatch.setattr("addonkit.jobs.worker.socket.gethostname", lambda: hostname)
    workers = [JobWorker({}, None, concurrency=1, per_tenant=1, plugins=frozenset()) for _ in range(20)]
    assert len({worker.name for worker in workers}) == 20
    assert all(len(worker.name) <= 64 and worker.name.startswith(hostname[:20]) for worker in workers)
