"""Enqueueing: transactions, tenants, values and dedupe keys."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace

import pytest
from addonkit.current import origin_scope
from addonkit.errors import SiblingForbidden, StorageUnavailable, TenantMissing
from addonkit.jobs import queue
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue, insert_jobs, with_origin
from addonkit.origin import Origin
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

from tests.support import job_plugin as working
from tests.support.job_plugin import jobs, seen, until_seen, until_settled


async def test_enqueue_is_undone_by_a_rollback(wire, tenant):
    async def broken_off():
        async with in_transaction():
            await working.note.enqueue(text="never")
            raise ZeroDivisionError

    with tenant_scope(tenant), pytest.raises(ZeroDivisionError):
        await broken_off()
    await until_settled(wire)
    assert seen == []
    assert await jobs(name="note") == []


async def test_enqueue_wakes_the_workers_of_this_process(wire, tenant, monkeypatch):
    woken = []
    monkeypatch.setattr(type(wire.addon.runtime), "notify", lambda _: woken.append(1))
    with tenant_scope(tenant):
        await working.note.enqueue(text="soon")
    assert woken


async def test_enqueue_without_a_tenant_scope_is_refused(wire):
    with pytest.raises(TenantMissing):
        await working.note.enqueue(text="whose")


async def test_enqueue_refuses_values_that_do_not_fit_the_handler(wire, tenant):
    with tenant_scope(tenant):
        with pytest.raises(TypeError, match="times"):
            await working.note.enqueue(text="x", times="many")
        with pytest.raises(TypeError, match="colour"):
            await working.note.enqueue(text="x", colour="red")
        with pytest.raises(TypeError, match="'dedupe' has 0 characters"):
            await working.note.enqueue(text="x", dedupe="")


async def test_queue_that_is_not_open_is_reported():
    with pytest.raises(StorageUnavailable, match="no queue is open"):
        await working.note.enqueue(text="x")


async def test_dedupe_keeps_one_waiting_job(wire, tenant):
    with tenant_scope(tenant):
        first = await working.note.enqueue(text="a", dedupe="key", delay_s=60)
        assert await working.note.enqueue(text="b", dedupe="key") is None
        assert await working.note.enqueue(text="c", dedupe="other", delay_s=60)
    assert [row.id for row in await jobs(name="note", dedupe="key")] == [first]


async def test_dedupe_key_is_free_once_its_job_runs(wire, tenant):
    with tenant_scope(tenant):
        await working.wait.enqueue(gate="a", dedupe="key")
        await until_seen("a begins")
        assert await working.wait.enqueue(gate="b", dedupe="key") is not None
    for gate in ("a", "b"):
        working.gates.setdefault(gate, asyncio.Event()).set()
    await until_settled(wire)


async def test_dedupe_skips_a_job_within_one_batch(wire, tenant):
    batch = [NewJob("working", "note", JobKind.JOB, b"{}", dedupe="key", tenant_id=tenant.id, due_at=2e9)] * 2
    async with in_transaction():
        await insert_jobs(batch)
    assert len(await jobs(name="note", dedupe="key")) == 1


async def test_dedupe_is_per_tenant_and_handler(wire, tenant):
    def new(name, tenant_id):
        return NewJob("working", name, JobKind.JOB, b"{}", dedupe="key", tenant_id=tenant_id, due_at=2e9)

    assert await JobQueue().put(new("note", tenant.id))
    assert await JobQueue().put(new("fail", tenant.id))
    assert await JobQueue().put(new("note", 0))
    assert await JobQueue().put(new("note", tenant.id)) is None


async def test_dedupe_of_a_webhook_lasts_after_it_is_done(wire, tenant):
    webhook = NewJob("working", "forget", JobKind.WEBHOOK, b"{}", dedupe="delivery-1", tenant_id=tenant.id)
    number = await JobQueue().put(webhook)
    await until_settled(wire)
    assert (await JobRow.get(id=number)).state == "done"
    assert await JobQueue().put(webhook) is None


@pytest.mark.parametrize("changed", [one.name for one in fields(NewJob)])
def test_job_with_its_origin_keeps_all_other_values(changed):
    job = replace(NewJob("plugin", "name", JobKind.WEBHOOK), **{changed: object()})
    with origin_scope(Origin("1" * 16)):
        found = with_origin(job)
    if changed == "traceparent":
        assert found is job
    else:
        assert found.request_id == "1" * 16
        assert found.traceparent.startswith(f"00-{'1' * 16}")
        assert replace(found, request_id=job.request_id, traceparent=job.traceparent) == job


async def test_row_of_a_job_has_by_default_what_the_queue_stores(wire, tenant):
    number = await JobQueue().put(NewJob("working", "note", JobKind.JOB, b"{}", tenant_id=tenant.id, due_at=2e9))
    stored = await JobRow.get(id=number)
    given = ("tenant_id", "plugin", "name", "kind", "payload", "state", "due_at", "created_at")
    plain = JobRow(**{name: getattr(stored, name) for name in given})
    names = [name for name in JobRow._meta.fields_map if name != "id"]
    assert {name: getattr(plain, name) for name in names} == {name: getattr(stored, name) for name in names}


@pytest.mark.parametrize("change", [{}, {"dedupe": "d"}, {"order": "o"}, {"kind": JobKind.WEBHOOK, "dedupe": "d"}])
async def test_enqueue_from_a_scope_that_may_only_read_is_refused(wire, tenant, monkeypatch, change):
    def refuse():
        raise SiblingForbidden("read-only")

    monkeypatch.setattr(queue, "check_writable", refuse)
    with pytest.raises(SiblingForbidden):
        await JobQueue().put(replace(NewJob("working", "note", JobKind.JOB, b"{}", tenant_id=tenant.id), **change))
    assert await jobs(name="note") == []
