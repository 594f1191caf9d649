"""Jobs of a plugin, from the queue to what becomes of them, on the database that the tests run on."""

from __future__ import annotations

import asyncio
import time

import pytest
from addonkit.errors import StorageUnavailable, TenantMissing
from addonkit.jobs import schedules
from addonkit.jobs.maintenance import DEATHS, bury_lost
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.jobs.queue import JobQueue, put_all
from addonkit.jobs.wakeup import notify_local
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

from tests.support import job_plugin as working
from tests.support.job_plugin import jobs, seen, working_addon


@pytest.fixture
async def wire(tmp_path):
    async with working_addon(tmp_path) as running:
        await running.addon.settled()
        seen.clear()
        working.gates.clear()
        yield running


@pytest.fixture
async def tenant(wire):
    return (await TenantRow.get()).as_tenant()


async def test_a_job_runs_with_what_it_asks_for_in_its_sites_scope(wire, tenant):
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="one", times=2)
    await wire.addon.settled()
    assert seen == [("one", 2, "hello", 1, "hello")]
    [row] = await jobs(id=number)
    assert (row.state, row.starts, row.failures, row.worker) == ("done", 1, 0, None)


async def test_what_is_rolled_back_was_never_put_into_the_queue(wire, tenant):
    async def broken_off():
        async with in_transaction():
            await working.note.enqueue(text="never")
            raise ZeroDivisionError

    with tenant_scope(tenant), pytest.raises(ZeroDivisionError):
        await broken_off()
    await wire.addon.settled()
    assert seen == []
    assert await jobs(name="note") == []


async def test_without_a_site_in_scope_nothing_is_put_into_the_queue(wire):
    with pytest.raises(TenantMissing):
        await working.note.enqueue(text="whose")


async def test_values_that_do_not_fit_are_refused_at_once(wire, tenant):
    with tenant_scope(tenant):
        with pytest.raises(TypeError, match="times"):
            await working.note.enqueue(text="x", times="many")
        with pytest.raises(TypeError, match="colour"):
            await working.note.enqueue(text="x", colour="red")
        with pytest.raises(TypeError, match="'dedupe' has 0 characters"):
            await working.note.enqueue(text="x", dedupe="")


async def test_a_queue_that_is_not_open_says_so():
    with pytest.raises(StorageUnavailable, match="no queue is open"):
        await working.note.enqueue(text="x")


async def test_of_two_with_the_same_word_one_waits(wire, tenant):
    with tenant_scope(tenant):
        first = await working.note.enqueue(text="a", dedupe="word", delay_s=60)
        assert await working.note.enqueue(text="b", dedupe="word") is None
        assert await working.note.enqueue(text="c", dedupe="other", delay_s=60)
    assert [row.id for row in await jobs(name="note", dedupe="word")] == [first]


async def test_once_the_first_has_begun_another_may_wait(wire, tenant):
    with tenant_scope(tenant):
        await working.wait.enqueue(gate="a", dedupe="word")
        await begun("a begins")
        assert await working.wait.enqueue(gate="b", dedupe="word") is not None
    for gate in ("a", "b"):
        working.gates.setdefault(gate, asyncio.Event()).set()
    await wire.addon.settled()


async def test_a_failure_is_tried_again_later_and_dead_in_the_end(wire, tenant):
    with tenant_scope(tenant):
        number = await working.fail.enqueue(text="it")
    for failures in (1, 2):
        await settled(wire)
        row = await JobRow.get(id=number)
        assert (row.state, row.failures) == ("waiting", failures)
        assert 0 < row.due_at - time.time() <= 2.0**failures
        await JobRow.filter(id=number).update(due_at=time.time())
        notify_local()
        await begun(("it", failures + 1, failures == 2))
    await settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.failures, row.starts) == ("dead", 3, 3)
    assert row.error.startswith("LookupError: nothing about it\n")
    assert "tests.support.job_plugin:fail" in row.error


async def test_who_gives_up_is_dead_at_once(wire, tenant):
    with tenant_scope(tenant):
        number = await working.give_up.enqueue()
    await settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("dead", 1)
    assert row.error.startswith("GiveUp: there is nothing to be done")


async def test_a_job_that_hangs_is_ended_by_its_bound(wire, tenant):
    with tenant_scope(tenant):
        number = await working.hang.enqueue()
    await settled(wire)
    row = await JobRow.get(id=number)
    assert row.state == "dead"
    assert "it was not done within 0.05 s" in row.error


async def test_those_of_one_order_run_one_after_another_and_others_beside_them(wire, tenant):
    with tenant_scope(tenant):
        await working.wait.enqueue(gate="a", order="issue 1")
        await working.wait.enqueue(gate="b", order="issue 1")
        await working.wait.enqueue(gate="c", order="issue 2")
    await begun("a begins")
    await begun("c begins")
    assert "b begins" not in seen
    assert [row.state for row in await jobs(name="wait")] == ["running", "blocked", "running"]
    for gate in "abc":
        working.gates.setdefault(gate, asyncio.Event()).set()
    await settled(wire)
    assert seen.index("a ends") < seen.index("b begins")
    assert {row.state for row in await jobs(name="wait")} == {"done"}


async def test_a_payload_of_an_older_release_is_made_into_the_present_one(wire, tenant):
    await JobQueue().put(NewJob("working", "renamed", JobKind.JOB, b'{"name": "old"}', 1, tenant_id=tenant.id))
    await settled(wire)
    assert seen == ["old"]


async def test_a_payload_of_a_newer_release_waits_for_it(wire, tenant):
    number = await JobQueue().put(NewJob("working", "renamed", JobKind.JOB, b"{}", 3, tenant_id=tenant.id))
    await settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.starts) == ("held", 0)
    assert row.error == "its payload is of version 3, and the code here takes 2"


async def test_the_jobs_of_a_site_that_is_switched_off_wait_until_it_is_back(wire, tenant):
    await wire.host.disable()
    with tenant_scope(tenant):
        await working.note.enqueue(text="later")
    await settled(wire)
    assert seen == []
    assert [row.error for row in await jobs(name="note")] == ["its site is disabled"]
    await wire.host.enable()
    await settled(wire)
    assert [one[0] for one in seen] == ["later"]


async def test_one_site_with_many_jobs_keeps_another_waiting_for_no_more_than_a_few(wire, tenant):
    other = await wire.host.install()
    await settled(wire)
    seen.clear()
    second = (await TenantRow.get(client_key=other.client_key)).as_tenant()
    async with in_transaction():
        many = [NewJob("working", "note", JobKind.JOB, b'{"text": "many"}', tenant_id=tenant.id) for _ in range(3000)]
        await put_all(many)
        await put_all([NewJob("working", "note", JobKind.JOB, b'{"text": "single"}', tenant_id=second.id)])
    notify_local()
    await settled(wire)
    assert len(seen) == 3001
    assert [one[0] for one in seen].index("single") < 40


async def test_no_more_of_one_site_run_at_once_than_may(tmp_path):
    async with working_addon(tmp_path, jobs={"per_tenant": 2}) as wire:
        await wire.addon.settled()
        seen.clear()
        working.gates.clear()
        tenant = (await TenantRow.get()).as_tenant()
        with tenant_scope(tenant):
            for gate in "abcd":
                await working.wait.enqueue(gate=gate)
        await begun("b begins")
        await asyncio.sleep(0.1)
        assert len(await jobs(state="running")) == 2
        for gate in "abcd":
            working.gates.setdefault(gate, asyncio.Event()).set()
        await settled(wire)
        assert len(seen) == 8


async def test_what_is_due_again_and_again_happens_once_each_time(wire, tenant):
    await ScheduleRow.filter(plugin="working").update(next_at=time.time() - 100)
    notify_local()
    await begun("hourly")
    await begun(("nightly", tenant.id))
    await settled(wire)
    assert sorted(map(str, seen)) == sorted(["hourly", str(("nightly", tenant.id))])
    for row in await ScheduleRow.filter(plugin="working"):
        assert row.next_at > time.time()


async def test_what_happens_for_each_site_is_put_into_the_queue_some_sites_at_a_time(wire, monkeypatch):
    await wire.addon.background.stop(1)
    monkeypatch.setattr(schedules, "STEP_SITES", 2)
    sites = [await wire.host.install() for _ in range(4)]
    spec = wire.addon.deployment.registry.contributions["working"].jobs["nightly"]
    await ScheduleRow.filter(name="nightly").update(next_at=time.time() - 100)
    # two processes that see it at once, and then one that has just begun, as often as there is something left
    await asyncio.gather(schedules.Schedules([spec]).look(), schedules.Schedules([spec]).look())
    assert len(await jobs(name="nightly")) == 2
    for _ in range(3):
        await schedules.Schedules([spec]).look()
    assert sorted(job.tenant_id for job in await jobs(name="nightly")) == list(range(1, len(sites) + 2))
    assert (await ScheduleRow.get(name="nightly")).reached is None


async def test_a_stopping_process_hands_back_what_does_not_end(wire, tenant):
    with tenant_scope(tenant):
        number = await working.wait.enqueue(gate="never")
    await begun("never begins")
    assert not await wire.addon.background.stop(0.05)
    row = await JobRow.get(id=number)
    assert (row.state, row.starts, row.failures, row.worker) == ("ready", 0, 0, None)


async def test_a_job_that_kills_its_process_is_dead_after_a_few_and_its_neighbour_is_not(wire, tenant):
    await wire.addon.background.stop(1)
    with tenant_scope(tenant):
        killer = await working.note.enqueue(text="killer")
        neighbour = await working.note.enqueue(text="neighbour")
    rounds = wire.addon.background.runner._rounds
    assert {job.id for job in await rounds.take([], 10)} == {killer, neighbour}
    assert await bury_lost(all_of_them=True) == 2
    assert await rounds.take([], 10) == []
    for _ in range(DEATHS - 1):
        assert [job.id for job in await rounds.take([], 0, suspect=True)] == [killer]
        assert await bury_lost(all_of_them=True) == 1
    row = await JobRow.get(id=killer)
    assert (row.state, row.error) == ("dead", f"{DEATHS} processes died while it ran")
    assert [job.id for job in await rounds.take([], 0, suspect=True)] == [neighbour]


async def begun(what):
    async with asyncio.timeout(5):
        while what not in seen:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)


async def settled(wire):
    async with asyncio.timeout(20):
        await wire.addon.settled()
