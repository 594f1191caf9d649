"""Which jobs run next: order keys, and tenants in turn."""

from __future__ import annotations

import asyncio

from addonkit.jobs.queue import insert_jobs, notify_local
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

from tests.support import job_plugin as working
from tests.support.job_plugin import jobs, seen, until_seen, until_settled, working_addon


async def test_order_key_runs_its_jobs_one_after_another(wire, tenant):
    with tenant_scope(tenant):
        await working.wait.enqueue(gate="a", order="issue 1")
        await working.wait.enqueue(gate="b", order="issue 1")
        await working.wait.enqueue(gate="c", order="issue 2")
    await until_seen("a begins")
    await until_seen("c begins")
    assert "b begins" not in seen
    assert [row.state for row in await jobs(name="wait")] == ["running", "blocked", "running"]
    for gate in "abc":
        working.gates.setdefault(gate, asyncio.Event()).set()
    await until_settled(wire)
    assert seen.index("a ends") < seen.index("b begins")
    assert {row.state for row in await jobs(name="wait")} == {"done"}


async def test_tenants_take_turns_so_that_a_single_job_starts_soon(wire, tenant):
    other = await wire.host.install()
    await until_settled(wire)
    seen.clear()
    second = (await TenantRow.get(client_key=other.client_key)).as_tenant()
    async with in_transaction():
        many = [NewJob("working", "note", JobKind.JOB, b'{"text": "many"}', tenant_id=tenant.id) for _ in range(3000)]
        await insert_jobs(many)
        await insert_jobs([NewJob("working", "note", JobKind.JOB, b'{"text": "single"}', tenant_id=second.id)])
    notify_local()
    await until_settled(wire)
    assert len(seen) == 3001
    assert [one[0] for one in seen].index("single") < 40


async def test_per_tenant_limits_the_running_jobs_of_one_tenant(tmp_path):
    async with working_addon(tmp_path, jobs={"per_tenant": 2}) as wire:
        await until_settled(wire)
        seen.clear()
        working.gates.clear()
        tenant = (await TenantRow.get()).as_tenant()
        with tenant_scope(tenant):
            for gate in "abcd":
                await working.wait.enqueue(gate=gate)
        await until_seen("b begins")
        await asyncio.sleep(0.1)
        assert len(await jobs(state="running")) == 2
        for gate in "abcd":
            working.gates.setdefault(gate, asyncio.Event()).set()
        await until_settled(wire)
        assert len(seen) == 8
