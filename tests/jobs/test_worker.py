"""The job worker of one process: its start and its stop, and handlers that do not let themselves be ended."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.jobs import running, worker
from addonkit.jobs.dispatcher import Dispatcher
from addonkit.jobs.job import LeasedJob
from addonkit.jobs.leases import release_expired_leases
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import insert_jobs, notify_local
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, NewJob
from structlog.testing import capture_logs
from tortoise.transactions import in_transaction

from tests.support import job_plugin as working
from tests.support.job_plugin import until_seen, until_settled, working_addon


@pytest.fixture(autouse=True)
def _short_times(monkeypatch):
    monkeypatch.setattr(worker, "CANCEL_S", 0.3)
    monkeypatch.setattr(worker, "POLL_S", 0.02)
    monkeypatch.setattr(running, "HUNG_AFTER_S", 0.1)


@pytest.fixture
def no_limit(wire, monkeypatch):
    """Handlers whose time limit never ends them, so that the worker's stop does."""
    specs = wire.addon.background.worker._executor._specs
    monkeypatch.setattr("addonkit.jobs.executor._run_within_limit", lambda spec, invocation: spec.run(invocation))
    return specs


async def begun(tenant, way):
    with tenant_scope(tenant):
        number = await working.cling.enqueue(way=way)
    await until_seen(f"{way} begins")
    return number


async def test_worker_releases_jobs_that_do_not_finish_before_it_stops(wire, tenant):
    with tenant_scope(tenant):
        number = await working.wait.enqueue(gate="never")
    await until_seen("never begins")
    assert not await wire.addon.background.stop(0.05)
    row = await JobRow.get(id=number)
    assert (row.state, row.starts, row.failures, row.worker) == ("ready", 0, 0, None)


@pytest.mark.parametrize(
    ("within_s", "finishes"), [(30, True), (0.05, False), (0, False)], ids=["enough", "short", "none"]
)
async def test_jobs_that_are_being_leased_when_the_worker_stops_get_its_time(
    wire, tenant, within_s, finishes, monkeypatch
):
    jobs, leased, goes_on = wire.addon.background.worker, asyncio.Event(), asyncio.Event()
    dispatch = jobs._dispatcher.dispatch

    async def slow(results, free):
        found = await dispatch(results, free)
        if found:
            leased.set()
            await goes_on.wait()
        return found

    monkeypatch.setattr(jobs._dispatcher, "dispatch", slow)
    with tenant_scope(tenant):
        number = await working.note.enqueue(text=f"leased for {within_s}")
    await asyncio.wait_for(leased.wait(), 30)
    asyncio.get_running_loop().call_later(0.2, goes_on.set)
    with capture_logs() as log:
        await wire.addon.background.stop(within_s)
    assert [line for line in log if line["event"] == "jobs.released"] == []
    row = await JobRow.get(id=number)
    assert (row.state, row.starts, row.worker) == (("done", 1, None) if finishes else ("ready", 0, None))


async def test_job_that_begins_during_the_stop_gets_the_rest_of_its_time(wire, tenant, monkeypatch):
    jobs, leased, goes_on = wire.addon.background.worker, asyncio.Event(), asyncio.Event()
    dispatch, loop = jobs._dispatcher.dispatch, asyncio.get_running_loop()

    async def slow(results, free):
        found = await dispatch(results, free)
        if found:
            leased.set()
            await goes_on.wait()
        return found

    with tenant_scope(tenant):
        await working.wait.enqueue(gate="before")
        await until_seen("before begins")
        monkeypatch.setattr(jobs._dispatcher, "dispatch", slow)
        number = await working.wait.enqueue(gate="during")
    await asyncio.wait_for(leased.wait(), 30)
    loop.call_later(0.1, goes_on.set)
    loop.call_later(0.3, lambda: working.gates["before"].set())
    loop.call_later(0.6, lambda: working.gates["during"].set())
    assert await wire.addon.background.stop(30)
    assert (await JobRow.get(id=number)).state == "done"


@pytest.mark.parametrize(
    ("way", "state", "worker_name"),
    [
        ("shielded", "ready", None),
        ("raises another", "ready", None),
        ("cleans up", "ready", None),
        ("returns", "done", None),
        ("goes on", "running", "(stopped)"),
    ],
)
async def test_stop_leaves_a_true_state_however_a_handler_is_cancelled(wire, tenant, no_limit, way, state, worker_name):
    number = await begun(tenant, way)
    with capture_logs() as logs:
        assert not await wire.addon.background.stop(0.05)
    row = await JobRow.get(id=number)
    assert (row.state, row.failures, row.deaths, row.worker) == (state, 0, 0, worker_name)
    named = [line["jobs"] for line in logs if line["event"] == "jobs.not_ended"]
    assert named == ([[number]] if state == "running" else [])
    assert [line["count"] for line in logs if line["event"] == "jobs.released"] == [0 if state == "running" else 1]
    working.gates[way].set()


async def test_job_left_by_a_stopped_process_is_released_without_a_death(wire, tenant, no_limit):
    number = await begun(tenant, "goes on")
    await wire.addon.background.stop(0.05)
    assert await release_expired_leases() == 0
    await JobRow.filter(id=number).update(lease_until=1.0)
    assert await release_expired_leases() == 1
    row = await JobRow.get(id=number)
    assert (row.state, row.deaths, row.error) == ("ready", 0, None)
    working.gates["goes on"].set()


@pytest.mark.parametrize("count", [1, 2, running.MAX_HUNG - 1, running.MAX_HUNG, running.MAX_HUNG + 2])
async def test_handlers_that_hang_keep_their_rows_and_end_the_worker_at_eight(wire, tenant, count):
    background, healthy = wire.addon.background, count < running.MAX_HUNG
    background.worker._dispatcher._per_tenant = 20
    exhausted = []
    wire.addon.on_exhausted = lambda: exhausted.append(True)
    with tenant_scope(tenant), capture_logs() as logs:
        numbers = [await working.cling.enqueue(way="goes on") for _ in range(count)]
        async with asyncio.timeout(60):
            while sum(line["event"] == "job.hung" for line in logs) < count:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.01)
        await working.note.enqueue(text="next")
    assert sorted(line["job"] for line in logs if line["event"] == "job.hung") == numbers
    assert set(await JobRow.filter(id__in=numbers).values_list("state", flat=True)) == {"running"}
    assert (await wire.ask("GET", "/healthz")).status == (200 if healthy else 503)
    if healthy:
        await until_seen(("next", 1, "hello", 1, "hello"))
    else:
        await asyncio.sleep(0.1)
        assert (await JobRow.get(name="note")).state == "ready"
    assert exhausted == ([] if healthy else [True])
    working.gates["goes on"].set()
    await until_seen("goes on ends")


async def test_hung_jobs_count_in_the_cap_of_their_site(wire, tenant):
    background = wire.addon.background
    background.worker._dispatcher._per_tenant = 2
    other = await wire.host.install()
    from addonkit.tenancy.models import TenantRow

    second = (await TenantRow.get(client_key=other.client_key)).as_tenant()
    with tenant_scope(tenant):
        for _ in range(3):
            await working.cling.enqueue(way="goes on")
    with tenant_scope(second):
        await working.note.enqueue(text="other")
    await until_seen(("other", 1, "hello", 1, "hello"))
    await asyncio.sleep(0.3)
    assert await JobRow.filter(name="cling").order_by("id").values_list("state", flat=True) == [
        "running",
        "running",
        "ready",
    ]
    working.gates["goes on"].set()


async def test_suspect_takes_no_slot_of_the_other_jobs(tmp_path):
    async with working_addon(tmp_path, jobs={"concurrency": 1}) as wire:
        await until_settled(wire)
        working.seen.clear()
        working.gates.clear()
        tenant = (await TenantRow.get()).as_tenant()
        with tenant_scope(tenant):
            async with in_transaction():
                number = await working.wait.enqueue(gate="suspect")
                await JobRow.filter(id=number).update(deaths=1)
        await until_seen("suspect begins")
        with tenant_scope(tenant):
            await working.wait.enqueue(gate="other")
        await until_seen("other begins")
        for gate in ("suspect", "other"):
            working.gates.setdefault(gate, asyncio.Event()).set()
        await until_settled(wire)


@pytest.mark.parametrize("concurrency", [1, 2, 8, 32])
async def test_one_transaction_stores_results_of_quick_jobs_and_leases_the_next(tmp_path, monkeypatch, concurrency):
    rounds = []
    real = Dispatcher.dispatch

    async def dispatch(self, results, free):
        leased = await real(self, results, free)
        rounds.append((len(results), len(leased)))
        return leased

    async with working_addon(tmp_path, jobs={"concurrency": concurrency, "per_tenant": concurrency}) as wire:
        await until_settled(wire)
        working.seen.clear()
        monkeypatch.setattr(Dispatcher, "dispatch", dispatch)
        wire.addon.background.worker.throttle.busy_at = float("-inf")  # no requests, which would go first
        tenant = (await TenantRow.get()).as_tenant()
        async with in_transaction():
            many = [
                NewJob("working", "note", JobKind.JOB, b'{"text": "x"}', tenant_id=tenant.id)
                for _ in range(10 * concurrency)
            ]
            await insert_jobs(many)
        notify_local()
        await until_settled(wire)
    assert len(working.seen) == 10 * concurrency
    # A wake-up in between may cost a round of its own now and then.
    stored_while_leasing = sum(stored for stored, leased in rounds if leased)
    assert stored_while_leasing >= 7 * concurrency


@pytest.mark.parametrize("concurrency", [1, 3, 8])
@pytest.mark.parametrize("jobs", [0, 1, 3, 8])
async def test_worker_leases_as_many_jobs_as_it_has_free_slots(concurrency, jobs):
    """A suspect job, which runs in a slot of its own, takes none."""
    leasing = worker.JobWorker({}, None, concurrency=concurrency, per_tenant=1, plugins=frozenset())
    tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(jobs)]
    for number, task in enumerate(tasks):
        leasing._running.add(task, LeasedJob(number, 1, "p", "n", JobKind.JOB, b"{}", 1, {}, None, None, 1, 0, 0.0))
    assert leasing.free() == concurrency - jobs
    leasing._suspects = 1
    assert leasing.free() == concurrency - jobs + 1
    leasing.stop_leasing()
    assert leasing.free() == 0
    await asyncio.gather(*tasks)
