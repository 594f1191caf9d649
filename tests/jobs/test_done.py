"""Done jobs: moved out of the queue without their payloads, recognised when repeated, replayed and deleted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from addonkit.database.sql import database_time, fetch
from addonkit.jobs import admin
from addonkit.jobs.done import delete_done, drop_payloads, move_done
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.lifecycle import move_jobs
from addonkit.jobs.models import DoneJobRow, JobRow
from addonkit.jobs.query import count_jobs, get_job, list_jobs, newest_id
from addonkit.jobs.queue import JobQueue, insert_jobs
from addonkit.jobs.writer import WebhookWriter
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, JobState, NewJob
from tortoise.transactions import in_transaction

from tests.support.job_plugin import seen, until_settled

EARLIER_INSERT = """
INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key, due_at, created_at,
    starts, failures, deaths, state, finished_at)
VALUES (?, 'working', 'forget', 'webhook', ?, 1, '{}', ?, NULL, ?, ?, 1, 0, 0, ?, ?) RETURNING id
"""
BODY = b'{"issue": {"id": "10001"}}'


def webhook(tenant, name="d-1", **changes):
    return replace(NewJob("working", "forget", JobKind.WEBHOOK, BODY, dedupe=name, tenant_id=tenant.id), **changes)


async def handled(wire, tenant, name="d-1", *, keep_hours=0):
    """A webhook that was handled and moved; its id."""
    number = await JobQueue().put(webhook(tenant, name))
    await until_settled(wire)
    await move_done(keep_hours, after_s=-1)
    return number


async def by_put(job):
    return await JobQueue().put(job) is not None


async def by_writer(job):
    before = await JobRow.all().count()
    await WebhookWriter(100, 10**6).store(job)
    return await JobRow.all().count() > before


async def by_batch(job):
    before = await JobRow.all().count()
    async with in_transaction():
        await insert_jobs([job, replace(job, dedupe=None, plugin="other")])
    return await JobRow.all().count() > before + 1


async def in_a_transaction(job):
    async with in_transaction():
        return await JobQueue().put(job) is not None


async def ordered(job):
    return await JobQueue().put(replace(job, order="issue 1")) is not None


WAYS = [by_put, by_writer, by_batch, in_a_transaction, ordered]


@pytest.mark.parametrize("enqueue", WAYS, ids=lambda way: way.__name__)
async def test_repeated_webhook_is_recognised_after_its_job_was_moved(wire, tenant, enqueue):
    await handled(wire, tenant)
    await wire.addon.background.stop(1)
    assert not await enqueue(webhook(tenant))
    assert await enqueue(webhook(tenant, "d-2"))


@pytest.mark.parametrize(
    "changes", [{"tenant_id": 0}, {"plugin": "other"}, {"name": "changed"}, {"dedupe": "D-1"}, {"dedupe": None}]
)
async def test_other_webhook_is_not_taken_for_a_repeated_one(wire, tenant, changes):
    await handled(wire, tenant)
    await wire.addon.background.stop(1)
    assert await JobQueue().put(webhook(tenant, **changes)) is not None


async def test_moved_job_has_no_payload_and_leaves_the_queue(wire, tenant):
    number = await handled(wire, tenant)
    assert not await JobRow.filter(id=number).exists()
    row = await DoneJobRow.get(id=number)
    assert (row.payload, row.dedupe, row.name) == (None, "d-1", "forget")
    record, payload = await get_job(number)
    assert (record.state, record.has_payload, payload) == ("done", False, None)
    assert [job.id for job in await list_jobs(JobFilter(kind=JobKind.WEBHOOK), 10)] == [number]
    assert [one.jobs for one in await count_jobs(JobFilter(states=(JobState.DONE,), name="forget"))] == [1]
    await JobRow.all().delete()
    assert await newest_id() == number


async def test_job_stays_in_the_queue_for_a_minute_after_it_is_done(wire, tenant):
    number = await JobQueue().put(webhook(tenant))
    await until_settled(wire)
    assert await move_done(0) == 0
    assert bytes((await JobRow.get(id=number)).payload) == BODY
    await JobRow.filter(id=number).update(finished_at=await database_time() - 61)
    assert await move_done(0) >= 1


@pytest.mark.parametrize("state", ["dead", "ready", "waiting", "held", "blocked", "running"])
async def test_job_that_is_not_done_is_not_moved(wire, tenant, state):
    await wire.addon.background.stop(1)
    number = await JobQueue().put(webhook(tenant))
    await JobRow.filter(id=number).update(state=state, finished_at=1.0)
    await move_done(0, after_s=-1)
    assert (await JobRow.get(id=number)).state == state


@pytest.mark.parametrize(
    ("keep_hours", "age_hours", "is_kept"), [(1, 0, True), (1, 2, False), (72, 71, True), (0, 0, False)]
)
async def test_payloads_are_kept_for_the_hours_of_the_setting(wire, tenant, keep_hours, age_hours, is_kept):
    number = await handled(wire, tenant, keep_hours=keep_hours)
    await DoneJobRow.filter(id=number).update(finished_at=await database_time() - age_hours * 3600)
    await drop_payloads(keep_hours)
    assert ((await get_job(number))[1] == BODY) == is_kept


async def test_replay_restores_a_moved_webhook_with_its_payload(wire, tenant):
    number = await handled(wire, tenant, keep_hours=1)
    seen.clear()
    assert await admin.replay(JobFilter(ids=(number,))) == 1
    await until_settled(wire)
    assert len(seen) == 1
    assert (await JobRow.get(id=number)).state == "done"
    assert not await DoneJobRow.filter(id=number).exists()
    assert await JobQueue().put(webhook(tenant)) is None


async def test_replay_skips_webhooks_without_payload(wire, tenant):
    await handled(wire, tenant, "dropped")
    await handled(wire, tenant, "kept", keep_hours=1)
    seen.clear()
    assert await admin.replay(JobFilter(kind=JobKind.WEBHOOK)) == 1
    await until_settled(wire)
    assert len(seen) == 1


async def test_drop_deletes_moved_jobs(wire, tenant):
    number = await handled(wire, tenant)
    assert await admin.drop(JobFilter(ids=(number,))) == 1
    assert not await DoneJobRow.filter(id=number).exists()
    assert await JobQueue().put(webhook(tenant)) is not None


async def test_moved_jobs_are_deleted_after_keep_done_hours(wire, tenant):
    number = await handled(wire, tenant)
    await DoneJobRow.filter(id=number).update(finished_at=await database_time() - 3601)
    assert await delete_done(2) == 0
    assert await delete_done(1) == 1
    assert await JobQueue().put(webhook(tenant)) is not None


async def test_moved_jobs_follow_an_adopted_tenant(wire, tenant):
    number = await handled(wire, tenant)
    await wire.host.install()
    other = (await TenantRow.exclude(id=tenant.id).get()).as_tenant()
    await until_settled(wire)
    async with in_transaction():
        await move_jobs(tenant, other, [])
    row = await DoneJobRow.get(id=number)
    assert (row.tenant_id, row.dedupe) == (other.id, None)


@pytest.mark.postgresql
async def test_webhook_that_is_repeated_while_its_job_is_being_moved_is_recognised(wire, tenant):
    """The insert waits for the unique key of the row that is being deleted, and would succeed afterwards."""
    number = await JobQueue().put(webhook(tenant))
    await until_settled(wire)
    await wire.addon.background.stop(1)
    async with in_transaction():
        await move_done(0, after_s=-1)
        repeated = asyncio.create_task(JobQueue().put(webhook(tenant)), context=wire.addon.runtime.context())
        await asyncio.sleep(0.3)
        assert not repeated.done()
    assert await repeated is None
    assert not await JobRow.filter(dedupe="d-1").exists()
    assert await DoneJobRow.filter(id=number).exists()


@pytest.mark.sqlite
async def test_lists_of_jobs_use_the_indexes_of_both_tables(wire):
    from addonkit.jobs.query import COLUMNS, FROM

    plan = await fetch(f"EXPLAIN QUERY PLAN SELECT {COLUMNS} {FROM} WHERE j.id > 5 ORDER BY j.id LIMIT 10")
    steps = " ".join(row["detail"] for row in plan)
    assert "SEARCH addonkit_job USING" in steps
    assert "SEARCH addonkit_done_job USING" in steps


@pytest.mark.parametrize("state", ["done", "dead", "ready", "held", "waiting"])
async def test_rows_of_an_earlier_release_are_moved_or_left_as_they_are(wire, tenant, state):
    """Its statements know neither the table of done jobs nor the database's clock."""
    await wire.addon.background.stop(1)
    values = [tenant.id, BODY, "d-1", 1.0, 1.0, state, 1.0]
    [row] = await fetch(EARLIER_INSERT, values)
    await move_done(0)
    assert await JobRow.filter(id=row["id"]).exists() == (state != "done")
    assert await DoneJobRow.filter(id=row["id"]).exists() == (state == "done")
    assert await JobQueue().put(webhook(tenant)) is None
