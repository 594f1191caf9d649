"""Attempts at jobs in the metrics: outcomes, reasons of retries, durations and waits."""

from __future__ import annotations

import pytest
from addonkit.errors import HostError, HostUnavailable, RateLimited, StorageUnavailable
from addonkit.jobs.executor import failure_kind
from addonkit.jobs.leases import release_worker
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobState

from tests.support import job_plugin as working
from tests.support.job_plugin import gates, jobs, seen, until_seen, until_settled, working_addon
from tests.support.scraped_metrics import TOKEN, value


@pytest.fixture
async def wire(tmp_path):
    async with working_addon(tmp_path, operations={"metrics_token": TOKEN}) as running:
        await until_settled(running)
        seen.clear()
        gates.clear()
        with tenant_scope((await TenantRow.get()).as_tenant()):
            yield running


async def attempts(wire, outcome):
    return await value(wire, "addonkit_job_attempts_total", plugin="working", outcome=outcome) or 0


async def retries(wire, reason):
    return await value(wire, "addonkit_job_retries_total", plugin="working", reason=reason) or 0


async def test_attempts_are_counted_by_outcome_and_timed(wire):
    before = await attempts(wire, "done")
    await working.note.enqueue(text="x")
    await working.fail.enqueue(text="y")
    await working.give_up.enqueue()
    await working.hang.enqueue()
    await until_settled(wire)
    assert await attempts(wire, "done") == before + 1
    assert (await attempts(wire, "failed"), await attempts(wire, "dead")) == (1, 2)
    assert (await retries(wire, "error"), await retries(wire, "timeout")) == (1, 0)
    assert await value(wire, "addonkit_job_duration_seconds_count", plugin="working", job_name="note") == 1
    assert await value(wire, "addonkit_job_duration_seconds_sum", plugin="working", job_name="hang") >= 0.05
    ended = before + 1 + 1 + 2
    assert await value(wire, "addonkit_job_wait_seconds_count", plugin="working") == ended


async def test_job_that_waited_is_counted_with_its_wait(wire):
    await wire.addon.background.stop(1)
    number = await working.note.enqueue(text="x")
    await wire.execute("UPDATE addonkit_job SET due_at = due_at - 1000 WHERE id = ?", number)
    before = await value(wire, "addonkit_job_wait_seconds_sum", plugin="working") or 0
    [leased] = await wire.addon.background.worker._dispatcher.dispatch([], 1)
    assert leased.waited_s >= 1000
    wire.addon.background.worker._start([leased])
    await until_seen(("x", 1, "hello", 1, "hello"))
    assert await value(wire, "addonkit_job_wait_seconds_sum", plugin="working") >= before + 1000


async def test_released_job_is_counted_as_a_retry(wire):
    await working.wait.enqueue(gate="never")
    await until_seen("never begins")
    await wire.addon.background.stop(0)
    assert (await attempts(wire, "released"), await retries(wire, "stopped")) == (1, 1)


@pytest.mark.parametrize(("died", "reason"), [(True, "process_died"), (False, "stopped")], ids=["died", "stopped"])
async def test_lost_job_is_counted_by_the_process_that_releases_it(wire, died, reason):
    await wire.addon.background.stop(1)
    number = await working.note.enqueue(text="x")
    await wire.execute(
        "UPDATE addonkit_job SET state = 'running', worker = 'gone', lease_until = 0 WHERE id = ?", number
    )
    assert await release_worker("gone", died=died) == 1
    assert await retries(wire, reason) == 1
    assert [one.state for one in await jobs(name="note")] == [JobState.READY]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (RateLimited("429"), "rate_limited"),
        (HostUnavailable("away", sent=False), "host_unavailable"),
        (HostError("500"), "host"),
        (StorageUnavailable("away"), "storage"),
        (LookupError("x"), "error"),
        (KeyboardInterrupt(), "error"),
    ],
    ids=["timeout", "rate", "unavailable", "host", "storage", "error", "no exception of ours"],
)
def test_failure_has_a_fixed_word(error, kind):
    assert failure_kind(error) == kind
