"""Which jobs run next: order keys, and tenants in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from addonkit.current import own_context
from addonkit.database.sql import fetch
from addonkit.jobs import dispatcher as dispatcher_module
from addonkit.jobs.dispatcher import Dispatcher
from addonkit.jobs.job import done, failed, held, paused, released
from addonkit.jobs.models import JobRow
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


async def ready(counts):
    """Enqueue so many jobs of each tenant."""
    async with in_transaction():
        await insert_jobs(
            [
                NewJob("working", "note", JobKind.JOB, b'{"text": "x"}', tenant_id=number)
                for number, count in counts.items()
                for _ in range(count)
            ]
        )


async def leased_by(dispatcher, free):
    """Lease jobs, and give their number for each tenant."""
    return dict(Counter(job.tenant_id for job in await dispatcher.dispatch([], free)))


@pytest.fixture
async def stopped(wire):
    """The running add-on, which leases no jobs."""
    await wire.addon.background.stop(1)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("waiting", "free", "leased"),
    [
        ({1: 10, 2: 10, 3: 10}, 6, {1: 2, 2: 2, 3: 2}),
        ({1: 10, 2: 1, 3: 10}, 3, {1: 1, 2: 1, 3: 1}),
        ({1: 100, 2: 1}, 8, {1: 4, 2: 1}),
        ({1: 10, 2: 10}, 5, {1: 3, 2: 2}),
        ({1: 10}, 6, {1: 6}),
        ({1: 10, 2: 10}, 1, {1: 1}),
    ],
    ids=["equal", "one job", "backlog and one job", "rest", "alone", "one slot"],
)
async def test_tenants_get_an_equal_share_of_the_free_slots(waiting, free, leased):
    await ready(waiting)
    assert await leased_by(Dispatcher("other:1", 100), free) == leased


@pytest.mark.usefixtures("stopped")
async def test_tenants_take_turns_from_one_call_to_the_next():
    """Without turns, those behind the first ones would never start."""
    await ready(dict.fromkeys(range(1, 8), 10))
    dispatcher = Dispatcher("other:1", 100)
    turns = [sorted(await leased_by(dispatcher, 3)) for _ in range(5)]
    assert turns == [[1, 2, 3], [4, 5, 6], [1, 2, 7], [3, 4, 5], [1, 6, 7]]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("cap", "leased"), [(1, 1), (4, 4), (9, 9), (10, 10), (11, 10)])
async def test_per_tenant_is_a_limit_over_all_workers(cap, leased):
    await ready({1: 10})
    first = sum((await leased_by(Dispatcher("first:1", cap), cap - 1)).values()) if cap > 1 else 0
    others = [await leased_by(Dispatcher(f"other:{number}", cap), 100) for number in range(4)]
    assert first + sum(number for one in others for number in one.values()) == leased


@pytest.mark.postgresql
@pytest.mark.usefixtures("stopped")
async def test_per_tenant_is_a_limit_over_workers_that_lease_at_the_same_time():
    await ready({1: 50, 2: 50})
    dispatchers = [Dispatcher(f"other:{number}", 4) for number in range(6)]
    leased = await asyncio.gather(*(leased_by(dispatcher, 32) for dispatcher in dispatchers))
    assert Counter({1: 4, 2: 4}) >= sum(map(Counter, leased), Counter())


@pytest.mark.postgresql
@pytest.mark.usefixtures("stopped")
async def test_tenant_whose_jobs_another_process_is_leasing_is_left_to_it():
    await ready({1: 10, 2: 1})
    is_leasing = asyncio.Event()

    async def lease_meanwhile():
        await is_leasing.wait()
        return await leased_by(Dispatcher("other:1", 4), 32)

    other = asyncio.create_task(lease_meanwhile())  # outside of the transaction
    async with in_transaction():
        await fetch("SELECT pg_advisory_xact_lock(7, 1)")
        is_leasing.set()
        assert await other == {2: 1}
    assert await leased_by(Dispatcher("other:1", 4), 32) == {1: 4}


@pytest.mark.usefixtures("stopped")
async def test_suspects_are_no_part_of_the_turns():
    await ready({1: 3, 2: 3})
    await JobRow.filter(tenant_id=1).update(deaths=1)
    dispatcher = Dispatcher("other:1", 100)
    assert await leased_by(dispatcher, 2) == {2: 2}
    assert await leased_by(dispatcher, 10) == {2: 1}
    assert await leased_by(dispatcher, 10) == {}


@pytest.mark.usefixtures("stopped")
async def test_suspects_of_a_tenant_do_not_take_the_slots_of_its_other_jobs():
    await ready({1: 5})
    suspects = [job.id for job in (await JobRow.all().order_by("id"))[:3]]
    await JobRow.filter(id__in=suspects).update(deaths=1)
    jobs_leased = await Dispatcher("other:1", 100).dispatch([], 2)
    assert len(jobs_leased) == 2
    assert not {job.id for job in jobs_leased} & set(suspects)


@pytest.mark.usefixtures("stopped")
async def test_suspects_are_leased_one_at_a_time():
    await ready({1: 3})
    await JobRow.all().update(deaths=1)
    first = await Dispatcher("other:1", 100).lease_suspect()
    assert [row.id for row in await JobRow.filter(state="running")] == [first.id]
    second = await Dispatcher("other:2", 100).lease_suspect()
    assert second.id > first.id


@pytest.mark.usefixtures("stopped")
async def test_suspects_alone_make_no_dispatcher_take_the_write_lock(monkeypatch):
    await ready({1: 3})
    await JobRow.all().update(deaths=1)
    monkeypatch.setattr(dispatcher_module, "in_transaction", None)
    assert await Dispatcher("other:1", 100).dispatch([], 10) == []


RESULTS = {
    "done": (done, {"state": "done", "failures": 0, "error": None, "starts": 1}),
    "retried": (
        lambda job: failed(job, "it broke: 'x' \\ ?", 3),
        {"state": "waiting", "failures": 1, "error": "it broke: 'x' \\ ?", "starts": 1},
    ),
    "dead": (lambda job: failed(job, "ä\n€", 1), {"state": "dead", "failures": 1, "error": "ä\n€", "starts": 1}),
    "held": (lambda job: held(job, "off"), {"state": "held", "failures": 0, "error": "off", "starts": 0}),
    "paused": (lambda job: paused(job, "scope"), {"state": "waiting", "failures": 0, "error": "scope", "starts": 0}),
    "released": (released, {"state": "ready", "failures": 0, "error": None, "starts": 0}),
}


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("repeats", [1, 40])
async def test_results_of_one_cycle_are_each_stored_with_their_own_values(repeats):
    await ready({1: repeats * len(RESULTS)})
    dispatcher = Dispatcher("other:1", 1000)
    leased = await dispatcher.dispatch([], 1000)
    kinds = list(RESULTS) * repeats
    await dispatcher.dispatch([RESULTS[kind][0](job) for kind, job in zip(kinds, leased, strict=True)], 0)
    stored = {row.id: row for row in await JobRow.all()}
    for kind, job in zip(kinds, leased, strict=True):
        row, expected = stored[job.id], RESULTS[kind][1]
        assert {name: getattr(row, name) for name in expected} == expected
        assert (row.worker, row.lease_until) == (None, None)
        assert (row.finished_at is not None) == (kind in ("done", "dead"))
        assert (row.due_at > row.created_at + 1) == (kind in ("retried", "paused"))


@pytest.mark.usefixtures("stopped")
async def test_result_of_an_attempt_that_another_worker_has_begun_again_is_not_stored():
    await ready({1: 3})
    dispatcher = Dispatcher("other:1", 1000)
    leased = await dispatcher.dispatch([], 3)
    await JobRow.filter(id=leased[1].id).update(starts=2, worker="other:2")
    await JobRow.filter(id=leased[2].id).update(state="ready", worker=None)
    await dispatcher.dispatch([done(job) for job in leased], 0)
    stored = {row.id: row.state for row in await JobRow.all()}
    assert [stored[job.id] for job in leased] == ["done", "running", "ready"]


TENANTS = {
    "enabled": {},
    "with another key": {"key": "ari:1"},
    "without a key": {"key": None},
    "with a help center": {"help_center_url": "https://help.example.com"},
    "disabled": {"state": "disabled"},
    "uninstalled": {"state": "uninstalled"},
    "gone": {"state": "uninstalled", "gone_at": datetime(2024, 1, 1, tzinfo=UTC)},
    "back again": {"state": "enabled", "gone_at": datetime(2024, 1, 1, tzinfo=UTC)},
}


@pytest.mark.parametrize("kind", TENANTS)
async def test_tenants_of_jobs_are_those_of_their_rows(wire, tenant, kind):
    await wire.addon.background.stop(1)
    await TenantRow.filter(id=tenant.id).update(**TENANTS[kind])
    await ready({tenant.id: 2, 0: 1, 2**30: 1})
    leased = await Dispatcher("other:1", 100).dispatch([], 10)
    stored = (await TenantRow.get(id=tenant.id)).as_tenant()
    found = sorted((job.tenant_id, job.tenant) for job in leased)
    assert found == [(0, None), *[(tenant.id, stored)] * 2, (2**30, None)]


async def test_job_whose_tenant_cannot_be_read_is_held_and_stops_no_other(wire, tenant):
    """A later release may have stored a state that this one does not know."""
    other = await wire.host.install()
    await until_settled(wire)
    seen.clear()
    second = await TenantRow.get(client_key=other.client_key)
    await TenantRow.filter(id=second.id).update(state="paused")
    await ready({second.id: 1, tenant.id: 1})
    notify_local()
    await until_settled(wire)
    assert [one[0] for one in seen] == ["x"]
    [held_row] = await jobs(tenant_id=second.id, state="held")
    assert held_row.error == "its row cannot be read by this release of addonkit: 'paused' is not a valid TenantState"


TURNS = {
    "fewer tenants than slots": (range(1, 4), 5, [[1, 2, 3]] * 4),
    "as many": (range(1, 4), 3, [[1, 2, 3]] * 4),
    "one more": (range(1, 5), 3, [[1, 2, 3], [4, 1, 2], [3, 4, 1], [2, 3, 4]]),
    "one slot": (range(1, 4), 1, [[1], [2], [3], [1]]),
    "one tenant": ([7], 4, [[7]] * 4),
    "the deployment and tenants": ([0, 1, 2], 2, [[0, 1], [2, 0], [1, 2], [0, 1]]),
    "numbers with gaps": ([3, 40, 2**30], 2, [[3, 40], [2**30, 3], [40, 2**30], [3, 40]]),
}


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("case", TURNS)
async def test_tenants_continue_after_the_last_one_and_from_the_first(case):
    tenants, free, turns = TURNS[case]
    await ready(dict.fromkeys(tenants, 50))
    dispatcher = Dispatcher("other:1", 100)
    for turn in turns:
        leased = await leased_by(dispatcher, free)
        assert (set(leased), leased[turn[0]], sum(leased.values())) == (set(turn), -(-free // len(turn)), free)
        assert dispatcher._last_tenant == turn[-1]


@pytest.mark.postgresql
@pytest.mark.usefixtures("stopped")
async def test_tenants_that_another_process_is_leasing_leave_the_slots_to_the_next_ones():
    await ready(dict.fromkeys(range(1, 7), 1))
    async with in_transaction():
        await fetch("SELECT pg_advisory_xact_lock(7, n) FROM generate_series(1, 3) AS n")
        leased = await asyncio.create_task(leased_by(Dispatcher("other:1", 100), 3), context=own_context())
    assert leased == {4: 1, 5: 1, 6: 1}


@pytest.mark.usefixtures("stopped")
async def test_deployment_takes_its_turn_before_the_tenants():
    """Its jobs have the tenant number 0."""
    await ready({0: 3, 1: 3, 2: 3})
    dispatcher = Dispatcher("other:1", 100)
    assert [list(await leased_by(dispatcher, 1)) for _ in range(7)] == [[0], [1], [2], [0], [1], [2], [0]]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_turns_go_on_after_results_were_stored_without_a_free_slot(turns):
    await ready({0: 3, 1: 3, 2: 3, 3: 3})
    dispatcher, leased = Dispatcher("other:1", 100), []
    for _ in range(turns):
        leased = await dispatcher.dispatch([], 1)
        assert await dispatcher.dispatch([done(job) for job in leased], 0) == []
    assert list(await leased_by(dispatcher, 1)) == [turns]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("last", [0, 1, 2])
async def test_turns_begin_again_after_a_cycle_in_which_no_job_was_ready(last):
    await ready({last: 1})
    dispatcher = Dispatcher("other:1", 100)
    leased = await dispatcher.dispatch([], 1)
    assert await dispatcher.dispatch([done(job) for job in leased], 1) == []
    await ready({0: 1, 1: 1, 2: 1, 3: 1})
    assert list(await leased_by(dispatcher, 1)) == [0]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("free", [0, -1])
async def test_dispatcher_without_a_free_slot_takes_no_write_lock(monkeypatch, free):
    await ready({1: 3})
    monkeypatch.setattr(dispatcher_module, "in_transaction", None)
    assert await Dispatcher("other:1", 100).dispatch([], free) == []


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("running", [3, 4, 5])
async def test_tenant_above_its_limit_gets_no_slot(running):
    """The limit of the running release may be lower than that of the one before."""
    await ready({1: 10})
    assert len(await Dispatcher("first:1", running).dispatch([], running)) == running
    assert await leased_by(Dispatcher("other:1", 3), 10) == {}


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("kind", RESULTS)
async def test_next_job_of_an_order_key_runs_once_the_one_before_is_final(kind):
    async with in_transaction():
        for _ in range(2):
            await insert_jobs([NewJob("working", "note", JobKind.JOB, b"{}", tenant_id=1, order="a")])
    dispatcher = Dispatcher("other:1", 100)
    [first] = await dispatcher.dispatch([], 10)
    await dispatcher.dispatch([RESULTS[kind][0](first)], 0)
    second = await JobRow.all().order_by("-id").first()
    assert second.state == ("ready" if kind in ("done", "dead") else "blocked")
