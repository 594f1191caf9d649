"""Workers of other processes are woken after the commit, and once for many jobs."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from addonkit.jobs.notifier import INTERVAL_S
from addonkit.jobs.queue import JobQueue, insert_jobs, notify_workers
from addonkit.jobs.writer import WebhookWriter
from addonkit.tenancy.notifications import WORK_CHANNEL
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

pytestmark = pytest.mark.postgresql


def new(**changes):
    return NewJob("working", "note", JobKind.JOB, b'{"text": "x"}', tenant_id=1, due_at=2e9, **changes)


async def alone():
    await JobQueue().put(new())


async def ordered():
    await JobQueue().put(new(order="one"))


async def in_one_transaction():
    async with in_transaction():
        await JobQueue().put(new())
        await JobQueue().put(new(order="two"))


async def in_a_savepoint():
    async with in_transaction(), in_transaction():
        await JobQueue().put(new())


async def many():
    async with in_transaction():
        await insert_jobs([new() for _ in range(50)])
        await notify_workers()


async def webhooks():
    writer = WebhookWriter(100, 10**6)
    await asyncio.gather(*(writer.store(new()) for _ in range(50)))


async def broken_off():
    async with in_transaction():
        await JobQueue().put(new())
        raise ZeroDivisionError


async def rolled_back():
    with pytest.raises(ZeroDivisionError):
        await broken_off()


async def not_inserted():
    await JobQueue().put(new(dedupe="again"))


@pytest.fixture
async def heard(wire):
    """The notifications that another process receives."""
    await wire.addon.background.stop(1)
    await JobQueue().put(new(dedupe="again"))
    await asyncio.sleep(4 * INTERVAL_S)
    connection = await asyncpg.connect(wire.addon.deployment.location.url)
    received = []
    await connection.add_listener(WORK_CHANNEL, lambda *_: received.append(1))
    yield received
    await connection.close()


@pytest.mark.parametrize(
    ("enqueue", "count"),
    [
        (alone, 1),
        (ordered, 1),
        (in_one_transaction, 1),
        (in_a_savepoint, 1),
        (many, 1),
        (webhooks, 1),
        (rolled_back, 0),
        (not_inserted, 0),
    ],
)
async def test_notification_is_sent_once_after_the_commit(heard, enqueue, count):
    await enqueue()
    await asyncio.sleep(8 * INTERVAL_S)
    assert len(heard) == count


async def test_notification_is_not_sent_before_the_commit(heard):
    async with in_transaction():
        await JobQueue().put(new())
        await asyncio.sleep(4 * INTERVAL_S)
        assert heard == []
    await asyncio.sleep(4 * INTERVAL_S)
    assert heard == [1]


async def test_notifications_of_many_jobs_in_a_row_are_few(heard):
    began = asyncio.get_running_loop().time()
    for _ in range(100):
        await JobQueue().put(new())
    took = asyncio.get_running_loop().time() - began
    await asyncio.sleep(4 * INTERVAL_S)
    assert 1 <= len(heard) <= took / INTERVAL_S + 2
