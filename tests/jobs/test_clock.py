"""A process whose clock is wrong takes no jobs from others, and starts none early or late."""

from __future__ import annotations

import time

import pytest
from addonkit.database import clock
from addonkit.database.clock import clock_difference_s
from addonkit.database.sql import database_time, fetch
from addonkit.jobs.dispatcher import LEASE_S, Dispatcher
from addonkit.jobs.done import delete_done
from addonkit.jobs.job import failed
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.leases import release_expired_leases, renew_leases
from addonkit.jobs.maintenance import promote_due
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.jobs.schedules import Schedules
from addonkit.jobs.tail import JobTail
from addonkit.tenant_data.scope import tenant_scope
from structlog.testing import capture_logs

from tests.support import job_plugin as working

REAL = time.time
SHIFTS = [40.0, -40.0, 18.0, 3600.0, -3600.0, 86400.0 * 30]


@pytest.fixture
async def stopped(wire):
    """An add-on whose worker has stopped."""
    await wire.addon.background.stop(1)
    return wire


@pytest.fixture(params=SHIFTS, ids=lambda shift: f"{shift:+g} s")
def shifted(request, stopped, monkeypatch):
    """Make this process's clock wrong; the database keeps its own."""
    monkeypatch.setattr(time, "time", lambda: REAL() + request.param)
    return request.param


async def test_leases_of_others_are_kept_by_a_process_with_a_wrong_clock(stopped, tenant, monkeypatch):
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="leased")
    [job] = await Dispatcher("healthy:1", 8).dispatch([], 10)
    for shift in SHIFTS:
        monkeypatch.setattr(time, "time", lambda shift=shift: REAL() + shift)
        assert await release_expired_leases() == 0
    row = await JobRow.get(id=number)
    assert (job.id, row.state, row.worker, row.deaths) == (number, "running", "healthy:1", 0)


async def test_lease_of_a_process_with_a_wrong_clock_lasts_as_long_as_any(shifted, tenant):
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="leased")
    await Dispatcher("shifted:1", 8).dispatch([], 10)
    for renews in (False, True):
        if renews:
            await renew_leases("shifted:1", [number])
        assert (await JobRow.get(id=number)).lease_until == pytest.approx(await database_time() + LEASE_S, abs=5)


async def test_retry_and_delay_are_counted_from_the_databases_time(shifted, tenant):
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="fails")
        later = await working.note.enqueue(text="later", delay_s=60)
    dispatcher = Dispatcher("shifted:1", 8)
    [job] = await dispatcher.dispatch([], 10)
    await dispatcher.dispatch([failed(job, "error", None)], 0)
    now = await database_time()
    row, delayed = await JobRow.get(id=number), await JobRow.get(id=later)
    assert now - 5 < row.due_at <= now + 2
    assert delayed.due_at == pytest.approx(now + 60, abs=5)
    assert row.created_at == pytest.approx(now, abs=5)
    await promote_due()
    assert (await JobRow.get(id=later)).state == "waiting"


async def test_done_jobs_are_deleted_and_reported_by_the_databases_time(shifted, tenant):
    with tenant_scope(tenant):
        await working.note.enqueue(text="done")
    tail = JobTail(JobFilter(name="note"))
    await tail.changes()
    dispatcher = Dispatcher("shifted:1", 8)
    [job] = await dispatcher.dispatch([], 10)
    from addonkit.jobs.job import done

    await dispatcher.dispatch([done(job)], 0)
    assert [one.state for one in await tail.changes()] == ["done"]
    assert await delete_done(1) == 0
    await JobRow.filter(id=job.id).update(finished_at=await database_time() - 3601)
    assert await delete_done(1) == 1


async def test_schedule_starts_by_the_databases_time(shifted, stopped):
    specs = [spec for spec in stopped.addon.background.worker._executor._specs.values() if spec.name == "hourly"]
    schedules = Schedules(specs)
    await ScheduleRow.all().delete()
    await schedules.register()
    assert (await ScheduleRow.get(name="hourly")).next_at == pytest.approx(await database_time() + 3600, abs=5)
    await schedules.enqueue_due()
    assert await JobRow.filter(name="hourly").count() == 0


@pytest.mark.postgresql
async def test_clock_that_differs_is_logged_at_the_start(shifted):
    assert await clock_difference_s() == pytest.approx(shifted, abs=2)
    with capture_logs() as logs:
        await clock.warn_of_clock()
    [line] = logs
    assert line["event"] == "database.clock_differs"
    assert ("ahead of" if shifted > 0 else "behind") in line["reason"]


@pytest.mark.postgresql
async def test_clock_that_agrees_is_not_logged(stopped):
    with capture_logs() as logs:
        await clock.warn_of_clock()
    assert logs == []


@pytest.mark.postgresql
async def test_due_jobs_are_found_by_their_index_and_not_by_reading_all_that_wait(stopped):
    await fetch("SELECT set_config('enable_seqscan', 'off', false)")
    from addonkit.jobs.sql import PROMOTE_DUE, SKIP_LOCKED

    plan = "\n".join(str(row) for row in await fetch(f"EXPLAIN {PROMOTE_DUE.format(SKIP_LOCKED)}"))
    assert "Index Cond: (due_at <=" in plan
