"""Lists and numbers of stored jobs are read by indexes, and are the same as those of all rows, on both databases."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import asynccontextmanager

from addonkit.database import CONNECTION
from addonkit.database.location import Location
from addonkit.database.sql import execute, fetch, on_postgres
from addonkit.jobs import query, selection
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.query import count_jobs, count_unfinished, list_jobs
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables, database_settings
from addonkit.work import JobKind, JobState
from tortoise.transactions import in_transaction

NOW = time.time()
PLUGINS, NAMES = ("alpha", "beta"), ("mail", "sweep", "tidy")
INSERT = """INSERT INTO addonkit_job (id, tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, error, created_at) VALUES (?, ?, ?, ?, ?, ?, 1, '{}', ?, 0, 0, 0, 0, ?, ?)"""
INSERT_DONE = """INSERT INTO addonkit_done_job (id, tenant_id, plugin, name, kind, payload, version, facts, due_at,
    starts, failures, error, created_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, 1, '{}', 0, 0, 0, ?, ?, 0)"""
FILTERS = {
    "everything": JobFilter(),
    "plugin": JobFilter(plugin="beta"),
    "unknown plugin": JobFilter(plugin="gamma"),
    "empty plugin": JobFilter(plugin=""),
    "name": JobFilter(name="sweep"),
    "kind": JobFilter(kind=JobKind.SCHEDULE),
    "no kind": JobFilter(kind=JobKind.LIFECYCLE),
    "one state": JobFilter(states=(JobState.DEAD,)),
    "running": JobFilter(states=(JobState.RUNNING,)),
    "done": JobFilter(states=(JobState.DONE,)),
    "several states": JobFilter(states=(JobState.READY, JobState.DONE, JobState.HELD)),
    "handlers": JobFilter(names=(("alpha", "mail"), ("beta", "tidy"))),
    "no handlers": JobFilter(names=()),
    "tenant": JobFilter(tenant_id=3),
    "tenant and state": JobFilter(tenant_id=3, states=(JobState.READY,)),
    "tenant without jobs": JobFilter(tenant_id=99),
    "tenant and handler": JobFilter(tenant_id=2, plugin="alpha", name="mail", kind=JobKind.JOB),
    "since": JobFilter(since=NOW - 2.5 * 3600),
    "since the future": JobFilter(since=NOW + 3600),
    "since long ago": JobFilter(since=1.0),
    "since and plugin": JobFilter(since=NOW - 2.5 * 3600, plugin="alpha"),
    "error": JobFilter(error="REFUSED"),
    "error with signs of LIKE": JobFilter(error="50%_!"),
    "error that no job has": JobFilter(error="never"),
    "error and state": JobFilter(error="refused", states=(JobState.DEAD, JobState.DONE)),
    "ids": JobFilter(ids=(1, 150, 299, 1000)),
    "range of ids": JobFilter(above=40, up_to=260, name="mail"),
    "with payload": JobFilter(has_payload=True),
    "without payload": JobFilter(has_payload=False, plugin="alpha"),
}


@asynccontextmanager
async def jobs_of_both_tables(tmp_path, number=300):
    """A database with jobs: the older half done and moved, and among the others all states."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, {})
    chance = random.Random(7)
    async with tenant_database(location, {}):
        async with in_transaction(CONNECTION):
            for job in range(1, number + 1):
                is_done = job <= number // 2
                who = [job, chance.randrange(5), chance.choice(PLUGINS), chance.choice(NAMES)]
                kind = chance.choice(["job", "schedule", "webhook"])
                error = chance.choice([None, None, "Refused: by the host", "HostError: 50%_! of it"])
                created = NOW - (number - job) * 60
                if is_done:
                    await execute(INSERT_DONE, [*who, kind, chance.choice([b"{}", None]), error, created])
                else:
                    await execute(INSERT, [*who, kind, b"{}", str(chance.choice(list(JobState))), error, created])
        yield


async def all_rows():
    return await query.select_jobs("1 = 1 ORDER BY j.id DESC", [])


def meets(which, job):
    """The filter's meaning, apart from SQL."""
    return (
        (not which.ids or job.id in which.ids)
        and which.accepts(job.plugin, job.name, job.kind, job.state)
        and which.tenant_id in (None, job.tenant_id)
        and (which.since is None or job.created_at >= which.since)
        and (which.error is None or which.error.lower() in (job.error or "").lower())
        and (which.above is None or job.id > which.above)
        and (which.up_to is None or job.id <= which.up_to)
        and which.has_payload in (None, job.has_payload)
    )


async def test_list_and_numbers_are_those_of_all_rows(tmp_path):
    async with jobs_of_both_tables(tmp_path):  # one database for all filters: PostgreSQL takes seconds to create one
        rows = await all_rows()
        for name, which in FILTERS.items():
            expected = [job for job in rows if meets(which, job)]
            assert await list_jobs(which, 1000) == expected, name
            assert await list_jobs(which, 7) == expected[:7], name
            assert await list_jobs(which, 7, oldest_first=True) == expected[::-1][:7], name
            counts = {(one.plugin, one.name, one.state): one.jobs for one in await count_jobs(which)}
            assert counts == Counter((job.plugin, job.name, job.state) for job in expected), name


async def test_list_of_more_than_one_step_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(query, "STEP_ROWS", 50)
    async with jobs_of_both_tables(tmp_path):
        rows = await all_rows()
        assert await list_jobs(JobFilter(), 1000) == rows
        assert await list_jobs(JobFilter(), 120) == rows[:120]
        assert await list_jobs(JobFilter(plugin="beta"), 1000, oldest_first=True) == [
            job for job in reversed(rows) if job.plugin == "beta"
        ]


async def test_unfinished_jobs_of_plugins_that_are_off_are_counted(tmp_path):
    async with jobs_of_both_tables(tmp_path):
        ended = (JobState.DONE, JobState.DEAD)
        unfinished = Counter(job.plugin for job in await all_rows() if job.state not in ended)
        assert await count_unfinished({"alpha"}) == {"beta": unfinished["beta"]}
        assert await count_unfinished(PLUGINS) == {}


async def test_list_and_numbers_go_through_no_table(tmp_path, monkeypatch):
    statements = []

    async def recorded(statement, values=()):
        statements.append((statement, list(values)))
        return await fetch(statement, values)

    monkeypatch.setattr(query, "fetch", recorded)
    monkeypatch.setattr(selection, "fetch", recorded)
    async with jobs_of_both_tables(tmp_path):
        for name, which in FILTERS.items():
            if which.has_payload is not None:
                continue  # no option of the command line
            statements.clear()
            await list_jobs(which, 5)
            await list_jobs(which, 5, oldest_first=True)
            await count_jobs(which)
            await count_unfinished({"alpha"})
            assert [line for one in statements for line in await scans(*one)] == [], name


async def scans(statement, values):
    """The lines of a plan that read a whole table of jobs; with so few rows, PostgreSQL does so where it may."""
    if on_postgres():
        async with in_transaction(CONNECTION) as transaction:
            await transaction.execute_query("SET LOCAL enable_seqscan = off")
            rows = await fetch(f"EXPLAIN {statement}", values)
        return [
            line
            for row in rows
            for line in row.values()
            if "Seq Scan on addonkit_job" in line or ("done_job" in line and "Seq Scan" in line)
        ]
    lines = [row["detail"] for row in await fetch(f"EXPLAIN QUERY PLAN {statement}", values)]
    # "j" names the table itself, or the rows that were found in both. In the order of ids, a scan ends at the limit.
    tables = ("SCAN addonkit_job", "SCAN addonkit_done_job") if "UNION ALL" in statement else ("SCAN j",)
    ends = "ORDER BY j.id " in statement and "LIMIT" in statement
    return [f"{line}: {statement}" for line in lines if line.startswith(tables) and " INDEX " not in line and not ends]
