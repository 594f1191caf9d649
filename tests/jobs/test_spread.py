"""Runs for each tenant are spread over time, by a share that is fixed for each tenant."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest
from addonkit import Plugin
from addonkit.errors import PluginError
from addonkit.jobs import schedules
from addonkit.jobs.maintenance import promote_due
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.jobs.schedules import Run, Schedules, share_of
from addonkit.schedule import Schedule, parse_rule
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, JobSpec

from tests.support.job_plugin import jobs

FIXED = [0.273439102, 0.874885184, 0.188870181]
"""Shares of tenants 1 to 3. Another function would shift every site's runs at an upgrade."""
THREE = 1_795_834_800.0  # 2026-11-28 03:00 UTC


async def no_work(_):
    raise AssertionError("these tests run no job")


def spec_of(schedule, name="nightly"):
    return JobSpec("working", name, JobKind.SCHEDULE, no_work, 1, 60.0, schedule=schedule)


@pytest.mark.parametrize(
    ("rule", "spread", "sites", "seconds"),
    [
        ("6h", None, 1, 0.01),
        ("6h", None, 100, 1.0),
        ("6h", None, 40_000, 400.0),
        ("1m", None, 40_000, 60.0),
        ("6h", "2h", 40_000, 7200.0),
        ("6h", "2h", 1, 7200.0),
        ("6h", "6h", 40_000, 21_600.0),
        ("6h", "0s", 40_000, 0.0),
        ("0 3 * * *", None, 40_000, 400.0),
        ("0 3 * * *", "1h", 40_000, 3600.0),
        ("0 3 * * *", "0s", 40_000, 0.0),
        ("*/5 * * * *", "1h", 40_000, 300.0),
        ("* * * * *", None, 100_000, 60.0),
    ],
)
def test_spread_of_a_run_ends_before_the_next_run(rule, spread, sites, seconds):
    spec = spec_of(Schedule(rule, each_tenant=True, spread=spread))
    assert Run(THREE, parse_rule(rule).next_after(THREE)).spread_s(spec, sites) == seconds


def test_spread_of_a_run_that_began_late_ends_before_the_next_run():
    spec = spec_of(Schedule("0 3 * * *", each_tenant=True, spread="1h"))
    assert Run(THREE - 600, THREE).spread_s(spec, 40_000) == 600


def test_share_of_a_tenant_is_fixed_and_another_for_each_schedule():
    first, second = spec_of(None), spec_of(None, "hourly")
    assert [share_of(first, tenant) for tenant in (1, 2, 3)] == pytest.approx(FIXED)
    assert share_of(first, 1) != share_of(second, 1)


def test_shares_of_many_tenants_are_even():
    shares = [share_of(spec_of(None), tenant) for tenant in range(40_000)]
    assert min(shares) >= 0
    assert max(shares) < 1
    per_second = Counter(int(share * 400) for share in shares)
    assert len(per_second) == 400
    assert max(per_second.values()) < 150


@pytest.mark.parametrize(
    ("spread", "each_tenant", "message"),
    [
        ("soon", True, "has spread='soon', expected a duration such as '30m', or '0s'"),
        ("0h", True, "has spread='0h', expected a duration"),
        ("-5m", True, "has spread='-5m', expected a duration"),
        ("", True, "has spread='', expected a duration"),
        ("2h", True, "has spread='2h', which is longer than its interval '1h'; shorten it"),
        ("30m", False, "has spread='30m', but one job for all tenants; add each_tenant=True"),
        ("0s", False, "has spread='0s', but one job for all tenants"),
    ],
    ids=["word", "zero hours", "negative", "empty", "too long", "one job", "one job at once"],
)
def test_spread_that_is_invalid_stops_the_start(spread, each_tenant, message):
    plugin = Plugin("spreading", __name__)
    with pytest.raises(PluginError, match="plugin 'spreading': 'sweep' has") as refused:

        @plugin.every("1h", each_tenant=each_tenant, spread=spread)
        async def sweep() -> None: ...

    assert message in str(refused.value)


@pytest.fixture
async def nightly(wire, monkeypatch):
    """The schedule of the plugin without a worker, ten sites, and steps of four."""
    await wire.addon.background.stop(1)
    monkeypatch.setattr(schedules, "STEP_TENANTS", 4)
    for _ in range(9):
        await wire.host.install()
    await JobRow.all().delete()
    return wire.addon.deployment.registry.contributions["working"].jobs["nightly"]


async def run_whole(spec, late_s=0.5):
    """Let the schedule be due since some time, and enqueue all its jobs, each step by another process."""
    await ScheduleRow.filter(name="nightly").update(next_at=time.time() - late_s)
    for _ in range(4):
        await Schedules([spec]).enqueue_due()
    assert (await ScheduleRow.get(name="nightly")).reached is None


async def test_jobs_of_a_run_become_due_by_the_shares_of_their_tenants(nightly):
    spec = replace(nightly, schedule=Schedule("0 3 * * *", each_tenant=True, spread="1m"))
    await run_whole(spec)
    began = (await ScheduleRow.get(name="nightly")).last_at
    found = await jobs(name="nightly")
    tenants = await TenantRow.all()
    assert sorted(job.tenant_id for job in found) == sorted(tenant.id for tenant in tenants)
    for job in found:
        assert job.due_at - began == pytest.approx(60 * share_of(spec, job.tenant_id), abs=2.5), job.tenant_id
        assert job.state == ("waiting" if job.due_at - began > 2 else job.state)


@pytest.mark.parametrize("spread", [None, "0s"], ids=["few sites", "at once"])
async def test_jobs_of_few_sites_or_at_once_are_ready(nightly, spread):
    await run_whole(replace(nightly, schedule=Schedule("0 3 * * *", each_tenant=True, spread=spread)))
    assert [job.state for job in await jobs(name="nightly")] == ["ready"] * 10


async def test_jobs_of_missed_runs_are_spread_and_there_is_one_for_each_tenant(nightly):
    spec = replace(nightly, schedule=Schedule("0 3 * * *", each_tenant=True, spread="1m"))
    await run_whole(spec, late_s=5.5 * 86400)
    found = await jobs(name="nightly")
    assert len({job.tenant_id for job in found}) == len(found) == 10
    assert len({round(job.due_at) for job in found}) > 3
    assert max(job.due_at for job in found) < time.time() + 61


async def test_jobs_that_became_due_while_no_process_ran_are_run_then(nightly):
    await run_whole(replace(nightly, schedule=Schedule("0 3 * * *", each_tenant=True, spread="1h")))
    waiting = await JobRow.filter(name="nightly", state="waiting").count()
    assert waiting > 0
    await JobRow.filter(name="nightly").update(due_at=time.time() - 60)
    await promote_due()
    assert await JobRow.filter(name="nightly", state="ready").count() == 10


async def test_run_while_jobs_of_the_last_one_wait_enqueues_none_twice(nightly):
    spec = replace(nightly, schedule=Schedule("0 3 * * *", each_tenant=True, spread="1h"))
    await run_whole(spec)
    await run_whole(spec)
    assert len(await jobs(name="nightly")) == 10
