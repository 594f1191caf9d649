"""Statistics of the queue: the age of the oldest due job, and schedules that are late."""

from __future__ import annotations

import pytest
from addonkit.database.sql import database_time, execute, fetch
from addonkit.jobs import statistics
from addonkit.jobs.queue import JobQueue
from addonkit.jobs.recount import recount
from addonkit.jobs.statistics import QueueReader
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, NewJob


@pytest.fixture
async def reader(location):
    async with tenant_database(location, {}):
        yield QueueReader(("enabled",), lambda: {("enabled", "nightly"), ("enabled", "hourly")})


async def put(ago_s, *, state="ready", tenant=0, deaths=0):
    number = await JobQueue().put(NewJob("enabled", "handler", JobKind.JOB, b"{}", tenant_id=tenant))
    now = await database_time()
    values = [state, now - ago_s, deaths, number]
    await execute("UPDATE addonkit_job SET state = ?, due_at = ?, deaths = ? WHERE id = ?", values)
    return number


async def oldest(reader):
    return round((await reader.read()).oldest_s, -1)


async def test_statistics_are_unknown_until_the_jobs_were_counted(reader):
    assert await reader.read() is None
    await recount()
    assert list((await reader.read()).counts) == ["enabled"]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], 0),
        ([{"ago_s": -500}], 0),
        ([{"ago_s": 300}, {"ago_s": 200}], 300),
        ([{"ago_s": 300, "tenant": 9}, {"ago_s": 200}], 300),
        ([{"ago_s": 300, "state": "waiting"}, {"ago_s": 200}], 300),
        ([{"ago_s": -300, "state": "waiting"}, {"ago_s": 200}], 200),
        ([{"ago_s": 300, "deaths": 1}, {"ago_s": 200}], 300),
        ([{"ago_s": 300, "state": "running"}, {"ago_s": 300, "state": "held"}, {"ago_s": 300, "state": "dead"}], 0),
    ],
    ids=["none", "future", "ready", "another tenant", "not promoted", "waiting", "suspect", "not due"],
)
async def test_oldest_due_job_is_found_in_each_state_that_can_be_due(reader, jobs, expected):
    await recount()
    for job in jobs:
        await put(**job)
    assert await oldest(reader) == expected


async def test_oldest_due_job_of_many_tenants_is_found_after_some_reads_and_forgotten_once_it_ran(reader, monkeypatch):
    monkeypatch.setattr(statistics, "STEP_TENANTS", 3)
    await recount()
    numbers = [await put(100 * tenant, tenant=tenant) for tenant in range(1, 9)]
    assert [await oldest(reader) for _ in range(4)] == [300, 600, 800, 800]
    await execute("UPDATE addonkit_job SET state = 'running' WHERE id = ?", [numbers[-1]])
    assert [await oldest(reader) for _ in range(3)][-1] == 700


@pytest.mark.parametrize("tenants", [1, 2, 3, 4, 7])
async def test_oldest_due_job_of_the_deployment_itself_is_found_after_a_round_of_all_tenants(
    reader, monkeypatch, tenants
):
    monkeypatch.setattr(statistics, "STEP_TENANTS", 3)
    await recount()
    for tenant in range(1, tenants + 1):
        await put(10, tenant=tenant)
    for _ in range(4):
        await reader.read()
    await put(1000, tenant=0)
    assert max([await oldest(reader) for _ in range(4)]) == 1000


async def test_schedule_lag_is_shown_for_schedules_of_this_deployment_alone(reader):
    await recount()
    now = await database_time()
    for plugin, name, next_at in [
        ("enabled", "nightly", now + 500),
        ("enabled", "hourly", now - 500),
        ("enabled", "removed", now - 10**6),
        ("disabled", "hourly", now - 10**6),
    ]:
        values = [plugin, name, "1h", next_at]
        await execute("INSERT INTO addonkit_schedule (plugin, name, rule, next_at) VALUES (?, ?, ?, ?)", values)
    lags = (await reader.read()).schedule_lag_s
    assert {key: round(lag, -1) for key, lag in lags.items()} == {
        ("enabled", "nightly"): 0,
        ("enabled", "hourly"): 500,
    }


@pytest.mark.sqlite
async def test_oldest_due_job_of_each_tenant_is_the_first_entry_of_an_index(reader):
    rows = await fetch("EXPLAIN QUERY PLAN " + statistics.OLDEST_READY, [-1, 10])
    lines = [row["detail"] for row in rows if "addonkit_job" in row["detail"] or " j " in row["detail"]]
    assert lines
    assert [line for line in lines if "INDEX addonkit_job_ready (" not in line] == []
    assert [row["detail"] for row in rows if "TEMP B-TREE" in row["detail"]] == []
