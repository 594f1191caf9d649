"""The runtime's scheduled jobs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from addonkit.app.maintenance import SETTINGS, runtime_jobs
from addonkit.errors import AddonkitError
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.jobs.queue import JobQueue
from addonkit.schedule import Schedule
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.vault import Vault
from addonkit.work import Attempt, JobInvocation, JobKind, NewJob

from tests.support.job_plugin import working_addon

CALL = JobInvocation(None, SETTINGS, Attempt(1, 1))
HOUR_S = 3600


def job(deployment, name, vault=None):
    """Give one of the runtime's job handlers."""
    return {spec.name: spec for spec in runtime_jobs(deployment, vault)}[name]


@pytest.fixture
async def wire(tmp_path):
    async with working_addon(tmp_path) as running:
        await running.addon.settled()
        yield running


async def test_runtime_jobs_have_schedules(wire):
    rows = await ScheduleRow.filter(plugin="addonkit").order_by("name")
    assert [(row.name, row.rule) for row in rows] == [
        ("forget_done", "10m"),
        ("recover_webhooks", "6h"),
        ("reseal", "1h"),
    ]
    assert all(row.next_at > time.time() for row in rows)


async def test_done_jobs_are_deleted_after_their_time_and_dead_ones_are_kept(wire):
    await JobRow.all().delete()
    for state, hours in (("done", 73), ("done", 71), ("dead", 1000)):
        number = await JobQueue().put(NewJob("working", "note", JobKind.JOB, tenant_id=1, due_at=time.time() + HOUR_S))
        await JobRow.filter(id=number).update(state=state, finished_at=time.time() - hours * HOUR_S)
    await job(wire.addon.deployment, "forget_done").run(CALL)
    assert await JobRow.all().order_by("id").values_list("state", flat=True) == ["done", "dead"]


async def test_reencryption_uses_the_first_key_after_a_rotation(wire):
    before = (await TenantRow.get()).shared_secret
    [present] = wire.addon.deployment.encryption_keys()
    await job(wire.addon.deployment, "reseal", Vault([("new", b"n" * 32), present])).run(CALL)
    after = (await TenantRow.get()).shared_secret
    assert before.startswith(f"v1.{present[0]}.")
    assert after.startswith("v1.new.")


def with_purge_hours(deployment, hours):
    """The deployment with another setting, as if it had been read from a file."""
    tenants = deployment.settings.tenants.model_copy(update={"purge_hours": hours})
    deployment.settings = deployment.settings.model_copy(update={"tenants": tenants})
    deployment.path = deployment.path or Path("addon.toml")
    return deployment


async def test_purge_is_scheduled_every_six_hours_unless_set_otherwise(wire):
    deployment = wire.addon.deployment
    assert deployment.settings.tenants.purge_hours == 6
    assert job(with_purge_hours(deployment, 6), "purge").schedule == Schedule("6h")
    assert job(with_purge_hours(deployment, 24), "purge").schedule == Schedule("24h")


async def test_purge_is_not_scheduled_during_a_legal_hold(wire):
    specs = runtime_jobs(with_purge_hours(wire.addon.deployment, 0), None)
    assert [spec.name for spec in specs] == ["forget_done", "reseal", "recover_webhooks"]


async def test_purge_that_waits_is_held_during_a_legal_hold(wire):
    number = await JobQueue().put(NewJob("addonkit", "purge", JobKind.SCHEDULE, tenant_id=0))
    await wire.addon.settled()
    row = await JobRow.get(id=number)
    assert (row.state, row.starts) == ("held", 0)


async def test_purge_that_fails_names_the_cause(wire, tmp_path):
    deployment = wire.addon.deployment
    deployment.path = tmp_path / "nowhere.toml"
    with pytest.raises(AddonkitError, match=r"'addonkit tenants purge --due' failed: .*nowhere\.toml"):
        await job(deployment, "purge").run(CALL)
