"""Group commit of webhooks: the bound on rows, and errors that nobody expected."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from addonkit.errors import QueueFull, StorageUnavailable
from addonkit.jobs import writer as writer_module
from addonkit.jobs.writer import MAX_BATCH_ROWS, WebhookWriter
from addonkit.work import JobKind, NewJob

MB = 1024 * 1024
JOB = NewJob("working", "forget", JobKind.WEBHOOK, b"{}", tenant_id=1)


async def store(writer, *, slow=False):
    """Store a webhook as a request does; give the error's class."""
    try:
        with writer.reserve() as reservation:
            if slow:
                await asyncio.sleep(0.01)  # the body
            reservation.take(2)
            await writer.store(JOB)
    except (QueueFull, StorageUnavailable) as exc:
        return type(exc)
    return None


@pytest.mark.parametrize(
    ("limit", "requests", "slow"),
    [(10, 2000, True), (10, 2000, False), (1, 5, True), (300, 2000, True), (MAX_BATCH_ROWS, 3 * MAX_BATCH_ROWS, True)],
)
async def test_writer_never_holds_more_rows_than_its_limit(monkeypatch, limit, requests, slow):
    held = []

    async def commit(jobs):
        held.append(writer.rows)
        await asyncio.sleep(0.02)
        held.append(writer.rows)

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer = WebhookWriter(limit, 10 * MB)
    results = await asyncio.gather(*(store(writer, slow=slow) for _ in range(requests)))
    assert max(held) <= limit
    assert results.count(None) + results.count(QueueFull) == requests
    assert results.count(None) >= limit
    await asyncio.sleep(0)
    assert (writer.rows, writer.size) == (0, 0)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        RuntimeError("unexpected"),
        AssertionError(),
        KeyError("id"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_writer_goes_on_after_an_unexpected_error(monkeypatch, error):
    batches = []

    async def commit(jobs):
        batches.append(len(jobs))
        await asyncio.sleep(0)
        if len(batches) == 1:
            raise error

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer = WebhookWriter(1000, 10 * MB)
    results = await asyncio.gather(*(store(writer) for _ in range(MAX_BATCH_ROWS + 10)))
    assert results == [StorageUnavailable] * batches[0] + [None] * (len(results) - batches[0])
    assert await store(writer) is None


async def test_writer_that_is_cancelled_answers_everybody_who_waits(monkeypatch):
    async def commit(jobs):
        await asyncio.sleep(60)

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer = WebhookWriter(1000, 10 * MB)
    waiting = asyncio.gather(*(store(writer) for _ in range(3)))
    await asyncio.sleep(0.01)
    more = asyncio.create_task(store(writer))
    await asyncio.sleep(0.01)
    writer._writing.cancel()
    assert await asyncio.wait_for(waiting, 60) == [StorageUnavailable] * 3
    assert await asyncio.wait_for(more, 60) is StorageUnavailable
    assert (writer.rows, writer.size) == (0, 0)


@pytest.mark.parametrize("cancelled", [(0,), (1,), (0, 1), (0, 2), (0, 1, 2)], ids=str)
async def test_writer_counts_rows_of_cancelled_requests_until_they_are_written(monkeypatch, cancelled):
    stored, goes_on = [], asyncio.Event()

    async def commit(jobs):
        await goes_on.wait()
        stored.extend(jobs)

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer = WebhookWriter(3, MB)
    requests = [asyncio.create_task(store(writer)) for _ in range(3)]
    await asyncio.sleep(0)
    for place in cancelled:
        requests[place].cancel()
    await asyncio.sleep(0)
    assert (writer.rows, await store(writer)) == (3, QueueFull)
    goes_on.set()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in results] == [place in cancelled for place in range(3)]
    if writer._writing is not None:
        await asyncio.wait({writer._writing})  # no request waits for it, if all were cancelled
    assert (len(stored), writer.rows, writer.size) == (3, 0, 0)


@pytest.mark.parametrize("waiting", [0, 1, 3])
async def test_writer_ends_what_it_stores_before_it_closes(monkeypatch, waiting):
    stored, goes_on = [], asyncio.Event()

    async def commit(jobs):
        await goes_on.wait()
        stored.extend(jobs)

    monkeypatch.setattr(writer_module, "_commit", commit)
    writer = WebhookWriter(10, MB)
    async with writer.accepting():
        requests = [asyncio.create_task(store(writer)) for _ in range(waiting)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.1, goes_on.set)
    assert len(stored) == waiting
    assert [await one for one in requests] == [None] * waiting
    assert await store(writer) is StorageUnavailable
    async with writer.accepting():
        assert await store(writer) is None
