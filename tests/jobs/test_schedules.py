"""Schedules: each run enqueues its jobs once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from addonkit.jobs import schedules
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.jobs.queue import notify_local
from addonkit.schedule import Schedule, parse_rule
from addonkit.tenancy.models import TenantRow

from tests.support.job_plugin import jobs, seen, until_seen, until_settled


async def test_schedule_runs_once_when_it_is_due(wire, tenant):
    await ScheduleRow.filter(plugin="working").update(next_at=time.time() - 100)
    notify_local()
    await until_seen("hourly")
    await until_seen(("nightly", tenant.id))
    await until_settled(wire)
    assert sorted(map(str, seen)) == sorted(["hourly", str(("nightly", tenant.id))])
    for row in await ScheduleRow.filter(plugin="working"):
        assert row.next_at > time.time()


async def test_schedule_for_each_tenant_enqueues_in_steps(wire, monkeypatch):
    await wire.addon.background.stop(1)
    monkeypatch.setattr(schedules, "STEP_TENANTS", 2)
    sites = [await wire.host.install() for _ in range(4)]
    spec = wire.addon.deployment.registry.contributions["working"].jobs["nightly"]
    await ScheduleRow.filter(name="nightly").update(next_at=time.time() - 100)
    # two processes that see it at once, and then one that has just begun, as often as there is something left
    await asyncio.gather(schedules.Schedules([spec]).enqueue_due(), schedules.Schedules([spec]).enqueue_due())
    assert len(await jobs(name="nightly")) == 2
    for _ in range(3):
        await schedules.Schedules([spec]).enqueue_due()
    assert sorted(job.tenant_id for job in await jobs(name="nightly")) == list(range(1, len(sites) + 2))
    assert (await ScheduleRow.get(name="nightly")).reached is None


async def test_cron_schedule_is_stored_with_its_next_time(wire):
    row = await ScheduleRow.get(name="nightly")
    assert row.rule == "0 3 * * *"
    assert row.next_at == parse_rule(row.rule).next_after(time.time())


async def test_cron_schedule_runs_at_its_next_time_after_a_missed_one(wire):
    await ScheduleRow.filter(name="nightly").update(next_at=time.time() - 3 * 24 * 3600)
    notify_local()
    await until_settled_schedule("nightly")
    assert len(await jobs(name="nightly")) == 1
    assert (await ScheduleRow.get(name="nightly")).next_at == parse_rule("0 3 * * *").next_after(time.time())


@pytest.mark.parametrize("rule", ["30 4 * * *", "5m"])
async def test_schedule_whose_rule_changed_starts_over(wire, rule):
    spec = wire.addon.deployment.registry.contributions["working"].jobs["nightly"]
    await schedules.Schedules([replace(spec, schedule=Schedule(rule, each_tenant=True))]).register()
    row = await ScheduleRow.get(name="nightly")
    assert row.rule == rule
    assert row.next_at == pytest.approx(parse_rule(rule).next_after(time.time()), abs=5)


async def until_settled_schedule(name):
    async with asyncio.timeout(60):
        while not await jobs(name=name):  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("rule", ["90s", "1h", "1d", "* * * * *", "0 3 * * *"])
async def test_schedule_that_missed_many_runs_runs_once(wire, rule):
    await wire.addon.background.stop(1)
    made = wire.addon.deployment.registry.contributions["working"].jobs["hourly"]
    spec = replace(made, schedule=Schedule(rule))
    await schedules.Schedules([spec]).register()
    await ScheduleRow.filter(name="hourly").update(next_at=time.time() - 7.5 * 24 * 3600)
    for _ in range(3):
        await schedules.Schedules([spec]).enqueue_due()
        await JobRow.filter(name="hourly").update(state="done", dedupe=None)  # it would hide further runs
    assert len(await jobs(name="hourly")) == 1
    assert (await ScheduleRow.get(name="hourly")).next_at > time.time()


async def test_schedule_for_each_tenant_skips_those_that_do_not_use_the_add_on(wire):
    await wire.addon.background.stop(1)
    sites = [await wire.host.install() for _ in range(4)]
    states = ["installed", "enabled", "disabled", "uninstalled"]
    numbers = {}
    for site, state in zip(sites, states, strict=True):
        await TenantRow.filter(client_key=site.client_key).update(state=state)
        numbers[(await TenantRow.get(client_key=site.client_key)).id] = state
    spec = wire.addon.deployment.registry.contributions["working"].jobs["nightly"]
    await ScheduleRow.filter(name="nightly").update(next_at=time.time() - 100)
    await schedules.Schedules([spec]).enqueue_due()
    served = {numbers.get(job.tenant_id, "first") for job in await jobs(name="nightly")}
    assert served == {"first", "installed", "enabled"}
