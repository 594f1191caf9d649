"""Numbers of jobs: maintained by triggers through every change, folded, and corrected by counting the rows."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from addonkit.current import own_context
from addonkit.database.sql import current_connection, execute, fetch, on_postgres
from addonkit.jobs import admin, counts, recount
from addonkit.jobs.counts import JobCounts, fold_changes, read_counts
from addonkit.jobs.dispatcher import Dispatcher
from addonkit.jobs.done import delete_done, move_done, restore_done
from addonkit.jobs.job import done, failed, held, paused, released
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.leases import leave_jobs, release_expired_leases, release_worker
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs, move_jobs
from addonkit.jobs.maintenance import hold_disabled_plugins, promote_due
from addonkit.jobs.missed import record_missed
from addonkit.jobs.queue import JobQueue, insert_jobs
from addonkit.jobs.recount import counted_at
from addonkit.jobs.unblocking import Unblocker
from addonkit.jobs.writer import WebhookWriter
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, JobState, NewJob
from tortoise.transactions import in_transaction

from tests.support.job_counts import counted, maintained
from tests.support.served import until

DAY_S = 86_400.0
COPY = """INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, created_at) SELECT tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, created_at FROM addonkit_job LIMIT 1"""

PLUGINS = ("alpha", "beta", "gamma")


@pytest.fixture
async def uncounted(location):
    """An open database whose rows were never counted."""
    async with tenant_database(location, {}):
        yield


@pytest.fixture
async def database(uncounted):
    await recount.recount()


async def tenant(number):
    row = await TenantRow.create(
        key=f"site-{number}",
        product="jira",
        base_url="https://x",
        display_url="https://x",
        state="enabled",
        installed_iat=1,
    )
    return row.as_tenant()


def job(plugin="alpha", **changes):
    return replace(NewJob(plugin, "handler", JobKind.JOB, b"{}", tenant_id=0), **changes)


async def put(number, plugin="alpha", **changes):
    for _ in range(number):
        await JobQueue().put(job(plugin, **changes))


async def leased(number=10, worker="worker"):
    return await Dispatcher(worker, 1000).dispatch([], number)


async def settle(make):
    await put(3)
    await Dispatcher("worker", 1000).dispatch([make(one) for one in await leased()], 0)


async def enqueue_batches():
    async with in_transaction():
        await insert_jobs([job("alpha"), job("beta"), job("alpha", order="a"), job("alpha", order="a")])


async def enqueue_repeated_webhooks():
    webhook = job("beta", kind=JobKind.WEBHOOK, dedupe="d-1")
    await asyncio.gather(*(WebhookWriter(100, 10**6).store(webhook) for _ in range(5)))


async def roll_back():
    async def fail():
        async with in_transaction():
            await put(5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def finish_ordered_jobs():
    await put(3, order="issue 1")
    await Dispatcher("worker", 1000).dispatch([done(one) for one in await leased()], 10)
    await Unblocker().step()


async def promote():
    await put(3, due_at=1.0)
    await execute("UPDATE addonkit_job SET state = 'waiting'")
    await promote_due()


async def lose_a_process():
    await put(3)
    await leased()
    await execute("UPDATE addonkit_job SET lease_until = 0")
    await release_expired_leases()


async def lose_five_processes():
    await put(2)
    for number in range(5):
        await Dispatcher(f"worker {number}", 1000).lease_suspect()
        await leased(1, f"worker {number}")
        await release_worker(f"worker {number}", died=True)


async def stop_with_running_jobs():
    await put(2)
    await leave_jobs("worker", [one.id for one in await leased()])


async def switch_a_plugin_off_and_on():
    await put(3, "beta")
    await hold_disabled_plugins(["alpha"])
    assert (await maintained())["beta"].held == 3
    await hold_disabled_plugins(["alpha", "beta"])


async def operate():
    await settle(lambda one: failed(one, "no", 1))
    await put(2, "beta", order="b")
    await admin.retry(JobFilter(states=(JobState.DEAD,)))
    await admin.drop(JobFilter(plugin="beta"))


async def move_and_restore_done_jobs():
    await settle(done)
    await move_done(1, after_s=-1)
    rows = await fetch("SELECT id FROM addonkit_done_job")
    async with in_transaction():
        await restore_done([row["id"] for row in rows[:2]])
    await execute("UPDATE addonkit_job SET state = 'ready' WHERE state = 'done'")


async def delete_jobs_that_were_not_moved():
    await settle(done)
    assert await delete_done(-1) == 3


async def adopt_a_tenant():
    first, second = await tenant(1), await tenant(2)
    await enqueue_lifecycle_jobs(first, "installed", PLUGINS)
    await put(2, tenant_id=first.id)
    async with in_transaction():
        await move_jobs(first, second, PLUGINS)


async def record_refused_webhooks():
    one = await tenant(1)
    await record_missed({one.id: 1.0}, ["alpha", "beta"])
    await record_missed({one.id: 2.0}, ["alpha", "beta"])


async def purge_by_sql():
    await put(3, tenant_id=5)
    await put(1, tenant_id=6)
    await execute("DELETE FROM addonkit_job WHERE tenant_id = 5")


async def rename_a_plugin_by_sql():
    await settle(lambda one: failed(one, "no", None))
    await put(2, "beta")
    await execute("UPDATE addonkit_job SET plugin = 'delta' WHERE plugin = 'alpha'")


async def insert_finished_rows_by_sql():
    await put(2)
    await execute("UPDATE addonkit_job SET state = 'done', failures = 3")
    await execute("UPDATE addonkit_job SET state = 'dead'")
    await execute("UPDATE addonkit_job SET failures = 0")


WAYS = {
    "enqueue": lambda: put(4),
    "enqueue in batches": enqueue_batches,
    "enqueue repeated webhooks": enqueue_repeated_webhooks,
    "roll back": roll_back,
    "lease": lambda: settle(lambda one: released(one)),
    "finish": lambda: settle(done),
    "finish ordered jobs": finish_ordered_jobs,
    "fail": lambda: settle(lambda one: failed(one, "no", None)),
    "fail for good": lambda: settle(lambda one: failed(one, "no", 1)),
    "hold": lambda: settle(lambda one: held(one, "off")),
    "pause": lambda: settle(lambda one: paused(one, "scope")),
    "promote": promote,
    "lose a process": lose_a_process,
    "lose five processes": lose_five_processes,
    "stop with running jobs": stop_with_running_jobs,
    "switch a plugin off and on": switch_a_plugin_off_and_on,
    "retry and drop": operate,
    "move and restore done jobs": move_and_restore_done_jobs,
    "delete jobs that were not moved": delete_jobs_that_were_not_moved,
    "adopt a tenant": adopt_a_tenant,
    "record refused webhooks": record_refused_webhooks,
    "purge": purge_by_sql,
    "rename a plugin": rename_a_plugin_by_sql,
    "change finished rows": insert_finished_rows_by_sql,
}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("way", WAYS)
async def test_counts_follow_every_change(way):
    await put(2, "gamma", due_at=1e12)
    await WAYS[way]()
    expected = await counted()
    assert await maintained() == expected
    if on_postgres():
        await fold_changes()
        assert await maintained() == expected


@pytest.mark.usefixtures("database")
async def test_counts_follow_random_changes_of_several_tasks():
    rng = random.Random(7)

    async def change(number):
        for _ in range(15):
            plugin = rng.choice(PLUGINS)
            await put(rng.randrange(3), plugin, order=rng.choice([None, "a", "b"]), tenant_id=rng.randrange(3))
            jobs = await leased(rng.randrange(1, 4), f"worker {number}")
            ends = (done, lambda one: failed(one, "no", 2), lambda one: held(one, "off"), released)
            await Dispatcher(f"worker {number}", 1000).dispatch([rng.choice(ends)(one) for one in jobs], 0)
            if on_postgres() and rng.random() < 0.3:
                await fold_changes()
        await hold_disabled_plugins(rng.sample(PLUGINS, 2))

    await asyncio.gather(*(change(number) for number in range(4)))
    assert await maintained() == await counted() != {}


@pytest.mark.usefixtures("database")
async def test_counts_of_a_plugin_without_jobs_are_empty():
    await put(2)
    await admin.drop(JobFilter())
    assert (await read_counts())["alpha"].is_empty()
    assert JobCounts(dead=1).pending == 0
    assert JobCounts(waiting=1, ready=2, blocked=3, held=4, running=5, dead=6, failing=7).pending == 15


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "drift",
    ["UPDATE addonkit_job_count SET ready = ready + 5", "DELETE FROM addonkit_job_count WHERE plugin <> ''"],
    ids=["wrong number", "lost rows"],
)
async def test_counts_that_are_wrong_are_corrected(drift):
    await put(3)
    if on_postgres():
        await fold_changes()
    await execute(drift)
    assert await maintained() != await counted()
    await recount.recount()
    assert await maintained() == await counted() != {}


@pytest.mark.usefixtures("uncounted")
async def test_counts_are_unknown_until_the_rows_were_counted():
    await put(3)
    await execute("DELETE FROM addonkit_job_count")
    if on_postgres():
        await execute("DELETE FROM addonkit_job_delta")
    assert await read_counts() is None
    await put(2)
    await recount.recount()
    assert await maintained() == {"alpha": JobCounts(ready=5)}


@pytest.mark.usefixtures("database")
async def test_counts_are_right_if_jobs_change_while_the_rows_are_counted(monkeypatch):
    monkeypatch.setattr(recount, "STEP_ROWS", 3)
    await put(20, "beta")
    await execute("UPDATE addonkit_job_count SET ready = 0" if not on_postgres() else "DELETE FROM addonkit_job_delta")
    changing = True

    async def change():
        while changing:
            await settle(lambda one: failed(one, "no", None))
            await asyncio.sleep(0)

    task = asyncio.create_task(change())
    for _ in range(5):
        await recount.recount()
    changing = False
    await task
    assert await maintained() == await counted()


@pytest.mark.sqlite
@pytest.mark.parametrize("step", [1, 3, 100])
async def test_counts_and_rows_are_read_as_of_one_moment(database, location, monkeypatch, step):
    """Another process enqueues a job between two reads."""
    monkeypatch.setattr(recount, "STEP_ROWS", step)
    await put(5)
    file, real, inserted = Path(current_connection().filename), recount._add_rows, []

    def add_rows(numbers, rows):
        real(numbers, rows)
        if not inserted:
            with closing(sqlite3.connect(file)) as other, other:
                inserted.append(other.execute(COPY).rowcount)

    monkeypatch.setattr(recount, "_add_rows", add_rows)
    assert await asyncio.to_thread(recount._differences_on_sqlite, file, threading.Event()) == {}
    assert inserted == [1]


@pytest.mark.postgresql
@pytest.mark.usefixtures("uncounted")
async def test_counts_are_corrected_once_by_several_processes():
    await put(30)
    await execute("DELETE FROM addonkit_job_delta")
    results = await asyncio.gather(*(recount.recount() for _ in range(6)), return_exceptions=True)
    assert None in results
    assert await maintained() == {"alpha": JobCounts(ready=30)}


@pytest.mark.postgresql
async def test_counts_survive_a_truncated_table(location):
    async with tenant_database(location, {}):
        await recount.recount()
        await put(3)
        await fold_changes()
        await put(2)
    import asyncpg

    owner = await asyncpg.connect(location.owner_url)
    await owner.execute("TRUNCATE addonkit_job")
    await owner.close()
    async with tenant_database(location, {}):
        assert await maintained() == {}
        await put(1)
        assert await maintained() == {"alpha": JobCounts(ready=1)}


@pytest.mark.postgresql
@pytest.mark.usefixtures("database")
async def test_counts_do_not_make_transactions_wait_for_each_other():
    await put(1)
    await fold_changes()
    async with in_transaction(), asyncio.timeout(60):
        await put(1)
        # Tasks with connections of their own; with one row per plugin they would wait for this transaction.
        await asyncio.create_task(put(1), context=own_context())
        await asyncio.create_task(fold_changes(), context=own_context())
    assert await maintained() == {"alpha": JobCounts(ready=3)}


@pytest.mark.postgresql
@pytest.mark.usefixtures("database")
async def test_changes_are_left_to_the_process_that_folds_them():
    await put(3)
    async with in_transaction(), asyncio.timeout(60):
        assert [row["is_locked"] for row in await fetch(counts.LOCK_FOLDING)] == [True]
        assert await asyncio.create_task(fold_changes(), context=own_context()) == 0
    assert await fold_changes() > 0
    assert await fold_changes() == 0


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("age_s", "is_counted"), [(0.0, False), (7 * DAY_S - 0.5, False), (7 * DAY_S, False), (7 * DAY_S + 0.5, True)]
)
async def test_rows_are_counted_again_after_a_week(monkeypatch, age_s, is_counted):
    rounds, counted_again = [], []

    async def last_counted_at():
        rounds.append(1)
        return 9e8 - age_s

    async def count():
        counted_again.append(1)

    async def now():
        return 9e8

    monkeypatch.setattr(counts, "counted_at", last_counted_at)
    monkeypatch.setattr(counts, "database_time", now)
    monkeypatch.setattr(counts, "recount", count)
    monkeypatch.setattr(counts, "FOLD_S", 0.0)
    task = asyncio.create_task(counts.CountKeeper().run())

    async def has_gone_round():
        return len(rounds) > 1

    await until(has_gone_round)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bool(counted_again) == is_counted


@pytest.mark.usefixtures("database")
async def test_count_keeper_counts_at_first_and_folds(monkeypatch):
    await execute("DELETE FROM addonkit_job_count")
    await put(2)
    monkeypatch.setattr(counts, "FOLD_S", 0.01)
    task = asyncio.create_task(counts.CountKeeper().run())

    async def is_folded():
        return await counted_at() is not None and not (
            on_postgres() and await fetch("SELECT 1 FROM addonkit_job_delta")
        )

    await until(is_folded)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await maintained() == await counted() != {}


@pytest.mark.usefixtures("database")
async def test_statements_report_the_jobs_that_they_change_and_not_their_counts():
    await put(3)
    assert await execute("UPDATE addonkit_job SET state = 'held'") == 3
    assert await execute("DELETE FROM addonkit_job WHERE plugin = 'nobody'") == 0
    assert await execute("DELETE FROM addonkit_job") == 3
