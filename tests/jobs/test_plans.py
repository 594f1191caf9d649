"""PostgreSQL reads few rows for a statement of the worker, also if its statistics are of another time."""

from __future__ import annotations

import json

import pytest
from addonkit.database.sql import execute, fetch
from addonkit.jobs import dispatcher as dispatcher_module
from addonkit.jobs.dispatcher import Dispatcher
from addonkit.jobs.job import done, failed
from addonkit.jobs.queue import insert_jobs
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

pytestmark = pytest.mark.postgresql
JOBS = 3000
LARGE = b"x" * 1000
"""For a table of many pages: without statistics, PostgreSQL rightly reads one of few pages as a whole."""
FREE = 8
MOST_READ = 4 * FREE
"""More than a step needs, and far less than there are."""

# What the table held when PostgreSQL last counted its rows.
STATISTICS = {
    "none": "",
    "of an empty table": "DELETE FROM addonkit_job",
    "of done jobs only": "UPDATE addonkit_job SET state = 'done', finished_at = 0",
    "of running jobs only": "UPDATE addonkit_job SET state = 'running', lease_until = 0",
    "of ready jobs only": "UPDATE addonkit_job SET state = 'ready'",
    "of jobs that wait": "UPDATE addonkit_job SET state = 'waiting', due_at = 1e12",
}


async def enqueue(tenants, payload=b"{}"):
    async with in_transaction():
        jobs = [
            NewJob("working", "note", JobKind.JOB, payload, tenant_id=1 + number % tenants) for number in range(JOBS)
        ]
        await insert_jobs(jobs)


def nodes(plan):
    """Return the nodes of a plan."""
    found = [plan]
    for part in plan.get("Plans", ()):
        found += nodes(part)
    return found


def rows_read(plan):
    """Return the rows that were read of the job table by the nodes of a plan, in all their loops."""
    return max(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes(plan)
        if "Scan" in node["Node Type"] and node.get("Relation Name") == "addonkit_job"
    )


@pytest.fixture
def plans(monkeypatch):
    """The plan of each statement of the dispatcher that changes rows."""
    found = []

    def explaining(real):
        async def run(statement, values=()):
            if "UPDATE addonkit_job" not in statement:
                return await real(statement, values)
            [row] = await fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
            explained = row["QUERY PLAN"]
            [one] = json.loads(explained) if isinstance(explained, str) else explained
            found.append(one["Plan"])
            return []

        return run

    for name in ("fetch_rows", "execute"):
        monkeypatch.setattr(dispatcher_module, name, explaining(getattr(dispatcher_module, name)))
    return found


@pytest.mark.parametrize("tenants", [1, 3, 500])
@pytest.mark.parametrize("statistics", STATISTICS)
async def test_round_reads_few_rows_whatever_the_statistics_are(wire, plans, monkeypatch, statistics, tenants):
    await wire.addon.background.stop(1)
    await execute("DELETE FROM addonkit_job")
    await enqueue(tenants, b"{}" if STATISTICS[statistics] else LARGE)
    if STATISTICS[statistics]:
        await execute(STATISTICS[statistics])
        await execute("ANALYZE addonkit_job")
        await execute("DELETE FROM addonkit_job")
        await enqueue(tenants)
    await Dispatcher("other:1", 1000).dispatch([], FREE)
    rows = await fetch("SELECT *, 0.0 AS waited_s, NULL AS product FROM addonkit_job WHERE state = 'running'")
    jobs = [dispatcher_module.LeasedJob.from_row(row, None) for row in rows]
    assert len(jobs) == FREE
    results = [done(job) if number % 2 else failed(job, "it failed", None) for number, job in enumerate(jobs)]
    await Dispatcher("other:1", 1000).dispatch(results, 0)
    assert [await count(state) for state in ("running", "done", "waiting")] == [0, FREE // 2, FREE // 2]
    assert [rows_read(plan) <= MOST_READ for plan in plans] == [True, True]


async def count(state):
    [row] = await fetch("SELECT count(*) AS number FROM addonkit_job WHERE state = ?", [state])
    return row["number"]
