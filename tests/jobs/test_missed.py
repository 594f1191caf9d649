"""Jobs that tell plugins of an outage: one for each plugin and site, with the earliest time."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from addonkit.extension.registry import Registry
from addonkit.jobs import missed
from addonkit.jobs.missed import record_missed
from addonkit.jobs.models import JobRow

from tests.support.job_plugin import jobs, seen, until_settled


@pytest.fixture(autouse=True)
def _long(monkeypatch):
    monkeypatch.setattr(missed, "QUIET_S", 1000.0)


async def record(wire, *refused):
    with wire.addon.scope():
        for one in refused:
            await record_missed(one, ["working"])


async def since_of(row):
    return orjson.loads(bytes(row.payload))["since"]


@pytest.mark.parametrize("times", [(100.0,), (100.0, 200.0), (200.0, 100.0), (300.0, 100.0, 200.0), (100.0, 100.0)])
async def test_outage_recorded_several_times_is_one_job_with_the_earliest_time(wire, tenant, times):
    await record(wire, *({tenant.id: since} for since in times))
    [row] = await jobs(name="addon_missed")
    assert (row.state, await since_of(row), row.tenant_id) == ("waiting", 100.0, tenant.id)


@pytest.mark.parametrize("state", ["waiting", "ready", "held"])
async def test_further_refusal_delays_a_job_that_has_not_started(wire, tenant, state):
    wire.addon.background.worker.stop_leasing()
    await record(wire, {tenant.id: 100.0})
    await JobRow.filter(name="addon_missed").update(state=state, due_at=1.0)
    await record(wire, {tenant.id: 200.0})
    [row] = await jobs(name="addon_missed")
    assert row.state == ("held" if state == "held" else "waiting")
    assert row.due_at > 1000.0
    assert await since_of(row) == 100.0


@pytest.mark.parametrize("state", ["running", "done", "dead"])
async def test_refusal_after_the_job_has_started_is_another_outage(wire, tenant, state):
    await record(wire, {tenant.id: 100.0})
    await JobRow.filter(name="addon_missed").update(state=state, dedupe=None)
    await record(wire, {tenant.id: 200.0})
    first, second = await jobs(name="addon_missed")
    assert (first.state, await since_of(first)) == (state, 100.0)
    assert (second.state, await since_of(second)) == ("waiting", 200.0)


async def test_outage_recorded_by_several_processes_at_once_is_one_job(wire, tenant):
    await asyncio.gather(*(record(wire, {tenant.id: 100.0 + number}) for number in range(8)))
    [row] = await jobs(name="addon_missed")
    assert await since_of(row) == 100.0


async def test_outage_of_sites_that_are_not_known_is_ignored(wire, tenant):
    await record(wire, {tenant.id + 1: 1.0, 999: 2.0}, dict.fromkeys(range(1000, 1250), 3.0))
    assert await jobs(name="addon_missed") == []


async def test_hook_that_fails_is_called_again_with_the_same_time(wire, tenant, monkeypatch):
    monkeypatch.setattr(missed, "QUIET_S", 0.0)
    failures = iter([ValueError("not yet")])

    async def fails_once(_, plugin, hook, **arguments):
        if (failure := next(failures, None)) is not None:
            raise failure
        seen.append((hook, arguments["since"].timestamp()))

    monkeypatch.setattr(Registry, "ask", fails_once)
    await record(wire, {tenant.id: 100.0})
    async with asyncio.timeout(60):
        while not seen:
            await JobRow.filter(name="addon_missed", state="waiting").update(due_at=0.0)
            await asyncio.sleep(0.02)
    await until_settled(wire)
    assert seen == [("addon_missed", 100.0)]
