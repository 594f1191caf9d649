"""Leases: renewed while a job runs, and released once its process has died."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from addonkit.jobs import dispatcher, leases
from addonkit.jobs.dispatcher import LEASE_S, Dispatcher
from addonkit.jobs.job import done
from addonkit.jobs.leases import MAX_DEATHS, leave_jobs, release_expired_leases, release_worker, renew_leases
from addonkit.jobs.models import JobRow
from addonkit.tenant_data.scope import tenant_scope

from tests.support import job_plugin as working
from tests.support.job_plugin import until_seen, until_settled

NOW = 1_000_000.0


async def test_lost_job_is_dead_after_five_deaths_and_its_neighbour_runs(wire, tenant):
    await wire.addon.background.stop(1)
    with tenant_scope(tenant):
        killer = await working.note.enqueue(text="killer")
        neighbour = await working.note.enqueue(text="neighbour")
    own = wire.addon.background.worker._dispatcher
    assert {job.id for job in await own.dispatch([], 10)} == {killer, neighbour}
    assert await release_expired_leases(all_leases=True) == 2
    assert await own.dispatch([], 10) == []
    for _ in range(MAX_DEATHS - 1):
        assert (await own.lease_suspect()).id == killer
        assert await release_expired_leases(all_leases=True) == 1
    row = await JobRow.get(id=killer)
    assert (row.state, row.error) == ("dead", f"{MAX_DEATHS} processes died while it ran")
    assert (await own.lease_suspect()).id == neighbour


async def leased(tenant, worker="other:1"):
    """A job that another worker has leased."""
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="leased")
    [job] = await Dispatcher(worker, 8).dispatch([], 10)
    assert job.id == number
    return job


async def test_lease_belongs_to_one_worker(wire, tenant):
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    row = await JobRow.get(id=job.id)
    assert (row.state, row.worker, row.starts) == ("running", "other:1", 1)
    assert row.lease_until == pytest.approx(time.time() + LEASE_S, abs=5)
    assert await Dispatcher("third:1", 8).dispatch([], 10) == []


async def test_lease_is_renewed_while_a_job_runs(wire, tenant):
    with tenant_scope(tenant):
        number = await working.wait.enqueue(gate="long")
    await until_seen("long begins")
    await JobRow.filter(id=number).update(lease_until=time.time() + 1)
    await renew_leases(wire.addon.background.worker.name, wire.addon.background.worker.running_ids())
    await until_lease(number, LEASE_S / 2)
    working.gates["long"].set()
    await until_settled(wire)
    assert (await JobRow.get(id=number)).state == "done"


async def test_lease_keeper_keeps_a_job_that_runs_longer_than_a_lease(wire, tenant, monkeypatch):
    """Time passes by what the row says: before each renewal, the lease has nearly ended."""
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    renewals = []

    async def lease_nearly_ends(seconds):
        row = await JobRow.get(id=job.id)
        renewals.append((row.state, (row.lease_until or 0) > time.time() + LEASE_S / 2, seconds))
        if len(renewals) == 5:
            raise TimeoutError
        await JobRow.filter(id=job.id).update(lease_until=time.time() - 1)

    monkeypatch.setattr(leases, "asyncio", SimpleNamespace(sleep=lease_nearly_ends))
    with pytest.raises(TimeoutError):
        await leases.LeaseKeeper("other:1", lambda: [job.id]).run()
    assert renewals == [("running", True, leases.RENEW_S)] * 5
    assert (await JobRow.get(id=job.id)).deaths == 0


def test_leases_are_renewed_several_times_before_they_end():
    assert leases.RENEW_S * 3 <= LEASE_S


async def test_lease_of_another_worker_is_not_renewed(wire, tenant):
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    await JobRow.filter(id=job.id).update(lease_until=1.0)
    await renew_leases("third:1", [job.id])
    assert (await JobRow.get(id=job.id)).lease_until == 1.0
    await renew_leases("other:1", [job.id])
    assert (await JobRow.get(id=job.id)).lease_until > time.time()


async def test_lease_that_has_expired_makes_its_job_ready_for_others(wire, tenant):
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    assert await release_expired_leases() == 0
    await JobRow.filter(id=job.id).update(lease_until=time.time() - 1)
    assert await release_expired_leases() == 1
    row = await JobRow.get(id=job.id)
    assert (row.state, row.worker, row.deaths, row.error) == ("ready", None, 1, "1 process died while it ran")


async def test_lease_that_was_lost_lets_no_result_through(wire, tenant):
    """A worker that was only slow must not overwrite what the next one does."""
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    await JobRow.filter(id=job.id).update(lease_until=time.time() - 1)
    await release_expired_leases()
    again = await Dispatcher("third:1", 8).lease_suspect()
    assert again.id == job.id
    await Dispatcher("other:1", 8).dispatch([done(job)], 0)
    row = await JobRow.get(id=job.id)
    assert (row.state, row.worker, row.starts) == ("running", "third:1", 2)


async def until_lease(number, at_least_s):
    async with asyncio.timeout(60):
        while (await JobRow.get(id=number)).lease_until < time.time() + at_least_s:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.01)


async def test_lost_neighbours_of_a_suspect_are_not_to_blame(wire, tenant):
    await wire.addon.background.stop(1)
    with tenant_scope(tenant):
        numbers = [await working.note.enqueue(text=text) for text in ("suspect", "one", "two")]
    await JobRow.filter(id__in=numbers).update(state="running", worker="other:1", lease_until=1.0, starts=1)
    await JobRow.filter(id=numbers[0]).update(deaths=1)
    assert await release_expired_leases() == 3
    rows = await JobRow.filter(id__in=numbers).order_by("id")
    assert [(row.state, row.deaths) for row in rows] == [("ready", 2), ("ready", 0), ("ready", 0)]


@pytest.mark.parametrize(("deaths", "state"), [(0, "blocked"), (MAX_DEATHS - 2, "blocked"), (MAX_DEATHS - 1, "ready")])
async def test_lost_job_lets_the_next_one_of_its_order_run_only_once_it_is_dead(wire, tenant, deaths, state):
    await wire.addon.background.stop(1)
    with tenant_scope(tenant):
        first, second = [await working.note.enqueue(text=text, order="issue 1") for text in ("first", "second")]
    assert [job.id for job in await Dispatcher("other:1", 8).dispatch([], 10)] == [first]
    await JobRow.filter(id=first).update(deaths=deaths, lease_until=1.0)
    await release_expired_leases()
    assert (await JobRow.get(id=second)).state == state


@pytest.mark.parametrize(("deaths", "state"), [(0, "ready"), (MAX_DEATHS - 2, "ready"), (MAX_DEATHS - 1, "dead")])
async def test_lost_job_is_dead_at_the_last_death_only(wire, tenant, deaths, state):
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    await JobRow.filter(id=job.id).update(deaths=deaths, lease_until=1.0)
    await release_expired_leases()
    row = await JobRow.get(id=job.id)
    assert (row.state, row.deaths) == (state, deaths + 1)


@pytest.mark.parametrize(("lease_s", "injected"), [(12.0, None), (50.0, 50.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("way", ["leased", "renewed", "left by a worker that stops"])
async def test_lease_lasts_its_time_and_then_belongs_to_nobody(
    wire, tenant, monkeypatch, clock, lease_s, injected, way
):
    await wire.addon.background.stop(1)
    for module in (dispatcher, leases) if injected is not None else ():
        monkeypatch.setattr(module, "LEASE_S", injected)
    clock.set(NOW)
    job = await leased(tenant)
    if way != "leased":
        clock.set(NOW + 5)
        await (renew_leases if way == "renewed" else leave_jobs)("other:1", [job.id])
    end = NOW + lease_s + (0 if way == "leased" else 5)
    for now, released in [(end - 0.5, 0), (end, 0), (end + 0.5, 1)]:
        clock.set(now)
        assert await release_expired_leases() == released


@pytest.mark.parametrize("age_s", [0.0, LEASE_S / 2, LEASE_S, 2 * LEASE_S])
async def test_only_process_that_runs_jobs_releases_all_leases_when_it_starts(wire, tenant, clock, age_s):
    await wire.addon.background.stop(1)
    clock.set(NOW)
    await leased(tenant)
    clock.set(NOW + age_s)
    assert await release_expired_leases(all_leases=True) == 1


async def test_lease_that_is_renewed_is_that_of_the_given_jobs(wire, tenant, clock):
    await wire.addon.background.stop(1)
    clock.set(NOW)
    first, second = await leased(tenant), await leased(tenant)
    clock.set(NOW + 10)
    await renew_leases("other:1", [second.id])
    await renew_leases("other:1", [])
    rows = {row.id: row.lease_until - NOW for row in await JobRow.filter(id__in=[first.id, second.id])}
    assert rows == {first.id: pytest.approx(LEASE_S), second.id: pytest.approx(LEASE_S + 10)}


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
async def test_release_gives_the_number_of_lost_jobs(wire, tenant, lost):
    await wire.addon.background.stop(1)
    for _ in range(lost):
        await leased(tenant, "dead:1")
    await leased(tenant, "alive:1")
    assert await release_worker("dead:1", died=True) == lost
    assert await release_worker("dead:1", died=True) == 0


@pytest.mark.parametrize(
    ("deaths", "died", "error"),
    [
        (0, True, "1 process died while it ran"),
        (1, True, "2 processes died while it ran"),
        (2, True, "3 processes died while it ran"),
        (0, False, None),
        (1, False, "1 process died while it ran"),
    ],
)
async def test_lost_job_names_the_number_of_deaths(wire, tenant, deaths, died, error):
    await wire.addon.background.stop(1)
    job = await leased(tenant)
    await JobRow.filter(id=job.id).update(deaths=deaths)
    await release_worker("other:1", died=died)
    row = await JobRow.get(id=job.id)
    assert (row.error, row.deaths) == (error, deaths + died)
