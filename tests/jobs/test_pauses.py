"""Pauses of the queue's loops in the background: with nothing to do, with work left, and after an error."""

import asyncio

import pytest
from addonkit.errors import StorageUnavailable
from addonkit.jobs import counts, done, leases, notifier, unblocking, worker
from addonkit.jobs.counts import CountKeeper
from addonkit.jobs.done import DoneJobs
from addonkit.jobs.leases import LeaseKeeper
from addonkit.jobs.notifier import WorkNotifier
from addonkit.jobs.unblocking import Unblocker
from addonkit.jobs.worker import JobWorker
from structlog.testing import capture_logs
from tortoise.exceptions import OperationalError

from tests.support.paused_clock import PausedClock

OUTAGE = StorageUnavailable("the database did not answer")


def steps(clock, outcome, took_s=0.0):
    """A step of a loop that takes some time, and returns or raises the outcome."""

    async def step(*_, **__):
        clock.now += took_s
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return step


def moving(patch, step):
    patch.setattr(done, "move_done", step)
    return DoneJobs(0).run()


def unblocking_jobs(patch, step):
    patch.setattr(Unblocker, "step", step)
    return Unblocker().run()


def folding(patch, step):
    async def now():
        return 0.0

    patch.setattr(counts, "on_postgres", lambda: True)
    patch.setattr(counts, "fold_changes", step)
    patch.setattr(counts, "counted_at", now)
    patch.setattr(counts, "database_time", now)
    return CountKeeper().run()


def renewing(patch, step):
    patch.setattr(leases, "renew_leases", step)
    patch.setattr(leases, "release_expired_leases", step)
    return LeaseKeeper("w", lambda: [1]).run()


def notifying(patch, step):
    patch.setattr(notifier, "send_notification", step)
    notifying = WorkNotifier()
    notifying.notify()
    return notifying.run()


FULL = {"moving": done.STEP_ROWS, "folding": counts.STEP_ROWS}
LOOPS = {
    "moving: less than a step": (moving, FULL["moving"] - 1, 2.0, 15.0, (done, "ROUND_S")),
    "moving: a whole step": (moving, FULL["moving"], 2.0, 6.0, (done, "IDLE_SHARE")),
    "moving: outage": (moving, OUTAGE, 2.0, 15.0, (done, "ROUND_S")),
    "unblocking: all": (unblocking_jobs, True, 0.0, 5.0, (unblocking, "ROUND_S")),
    "unblocking: all, slowly": (unblocking_jobs, True, 2.0, 18.0, (unblocking, "IDLE_SHARE")),
    "unblocking: some": (unblocking_jobs, False, 0.1, 1.0, (unblocking, "ROUND_S")),
    "unblocking: some, slowly": (unblocking_jobs, False, 0.5, 4.5, (unblocking, "IDLE_SHARE")),
    "unblocking: outage": (unblocking_jobs, OUTAGE, 0.1, 5.0, (unblocking, "ROUND_S")),
    "folding: less than a step": (folding, FULL["folding"] - 1, 0.0, 5.0, (counts, "FOLD_S")),
    "folding: a whole step": (folding, FULL["folding"], 0.0, 0.5, (counts, "FOLD_S")),
    "folding: outage": (folding, OUTAGE, 0.0, 5.0, (counts, "FOLD_S")),
    "renewing": (renewing, None, 0.0, 2.0, (leases, "RENEW_S")),
    "renewing: outage": (renewing, OUTAGE, 0.0, 2.0, (leases, "RENEW_S")),
    "notifying": (notifying, None, 0.0, 0.05, (notifier, "INTERVAL_S")),
    "notifying: outage": (notifying, OUTAGE, 0.0, 0.05, (notifier, "INTERVAL_S")),
}


@pytest.mark.parametrize("times", [None, 2], ids=["as shipped", "twice as long"])
@pytest.mark.parametrize(("loop", "outcome", "took_s", "pause_s", "number"), LOOPS.values(), ids=LOOPS.keys())
async def test_loop_pauses_between_two_steps(monkeypatch, loop, outcome, took_s, pause_s, number, times):
    if times is not None:
        module, name = number
        monkeypatch.setattr(module, name, times * getattr(module, name))
    clock = PausedClock(monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        await loop(monkeypatch, steps(clock, outcome, took_s))
    assert clock.pauses == [pytest.approx(pause_s * (times or 1))]


def job_worker():
    return JobWorker({}, None, concurrency=1, per_tenant=1, plugins=frozenset(), name="w")


ERRORS = [OUTAGE, OperationalError("no connection"), ConnectionResetError("reset"), KeyError("id"), ValueError("x")]


@pytest.mark.parametrize(("pause_s", "injected"), [(1.0, None), (7.0, 7.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_worker_pauses_after_any_error_and_goes_on(monkeypatch, error, pause_s, injected):
    if injected is not None:
        monkeypatch.setattr(worker, "STORAGE_PAUSE_S", injected)
    clock, jobs = PausedClock(monkeypatch, most=2), job_worker()
    monkeypatch.setattr(jobs, "_cycle", steps(clock, error))
    with capture_logs() as lines:
        assert await jobs._cycle_or_pause() == 0.0
    assert clock.pauses == [pause_s]
    is_known = not isinstance(error, LookupError | ValueError)
    assert [line["event"] for line in lines] == ["jobs.storage_failed" if is_known else "jobs.loop_error"]


@pytest.mark.parametrize("outages", [0, 1, 3])
async def test_worker_tries_to_prepare_the_queue_until_the_database_answers(monkeypatch, outages):
    clock, jobs, held = PausedClock(monkeypatch, most=10), job_worker(), []

    async def hold(plugins):
        held.append(plugins)
        if len(held) <= outages:
            raise OUTAGE

    monkeypatch.setattr(worker, "hold_disabled_plugins", hold)
    monkeypatch.setattr(worker, "on_postgres", lambda: False)
    monkeypatch.setattr(worker, "release_expired_leases", steps(clock, 0))
    with capture_logs() as lines:
        await jobs._prepare()
    assert jobs.prepared.is_set()
    assert (len(held), clock.pauses) == (outages + 1, [1.0] * outages)
    assert [line["reason"] for line in lines] == [str(OUTAGE)] * outages


async def test_worker_that_is_stopped_during_an_outage_does_not_prepare_the_queue(monkeypatch):
    clock, jobs = PausedClock(monkeypatch, most=10), job_worker()

    async def hold(plugins):
        jobs.stop_leasing()
        raise OUTAGE

    monkeypatch.setattr(worker, "hold_disabled_plugins", hold)
    await jobs._prepare()
    assert (jobs.prepared.is_set(), clock.pauses) == (False, [1.0])


@pytest.mark.parametrize("outages", [0, 1, 2])
async def test_child_keeps_the_result_of_its_suspect_until_the_database_answers(monkeypatch, outages):
    clock, jobs, given = PausedClock(monkeypatch, most=10), job_worker(), []
    suspects = [True, False]

    async def run_suspect():
        if found := suspects.pop(0):
            jobs._results.append("result")
        return found

    async def dispatch(results, free):
        given.append((list(results), free))
        if len(given) <= outages:
            raise OUTAGE

    monkeypatch.setattr(jobs, "run_suspect", run_suspect)
    monkeypatch.setattr(jobs._dispatcher, "dispatch", dispatch)
    with capture_logs() as lines:
        await jobs.run_suspects()
    assert given == [(["result"], 0)] * (outages + 1)
    assert (clock.pauses, len(lines), jobs.is_idle()) == ([1.0] * outages, outages, True)


@pytest.mark.parametrize(
    ("due_in_s", "pause_s"), [(float("inf"), 2.0), (60.0, 2.0), (2.0, 2.0), (0.75, 0.75), (0.0, 0.0), (-5.0, 0.0)]
)
async def test_worker_waits_for_the_next_due_job_but_never_longer_than_between_two_polls(
    monkeypatch, due_in_s, pause_s
):
    clock, jobs = PausedClock(monkeypatch), job_worker()
    monkeypatch.setattr(worker.time, "time", lambda: 5000.0)
    monkeypatch.setattr(worker, "promote_due", steps(clock, 5000.0 + due_in_s))
    monkeypatch.setattr(jobs._dispatcher, "dispatch", steps(clock, []))
    assert await jobs._cycle() == pause_s


@pytest.mark.parametrize(
    ("next_due", "promotions"), [(4999.0, 2), (5000.0, 2), (5000.5, 1), (float("inf"), 1)], ids=str
)
async def test_worker_makes_waiting_jobs_ready_before_it_leases_once_one_is_due(monkeypatch, next_due, promotions):
    order, clock, jobs = [], PausedClock(monkeypatch), job_worker()
    jobs._next_due = next_due
    monkeypatch.setattr(worker.time, "time", lambda: 5000.0)

    async def promote():
        order.append("promote")
        return float("inf")

    async def dispatch(results, free):
        order.append("lease")
        return []

    monkeypatch.setattr(worker, "promote_due", promote)
    monkeypatch.setattr(jobs._dispatcher, "dispatch", dispatch)
    await jobs._cycle()
    assert order == ["promote"] * (promotions - 1) + ["lease", "promote"]
    assert clock.pauses == []


@pytest.mark.parametrize(("longest_s", "injected"), [(0.02, None), (0.5, 0.5)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("took_s", [0.0, 0.01, 0.039, 0.04, 0.041, 0.9, 60.0])
async def test_worker_counts_half_of_the_time_in_which_it_leased_up_to_a_bound(
    monkeypatch, longest_s, injected, took_s
):
    if injected is not None:
        monkeypatch.setattr(worker, "MAX_CYCLE_S", injected)
    clock, jobs, used = PausedClock(monkeypatch, most=3), job_worker(), []
    jobs._next_due = float("inf")
    monkeypatch.setattr(jobs._dispatcher, "dispatch", steps(clock, ["job"], took_s))
    monkeypatch.setattr(jobs, "_start", lambda _: [])
    monkeypatch.setattr(jobs.throttle, "used", used.append)
    assert await jobs._cycle() == 0.0
    assert used == [pytest.approx(min(took_s / 2, longest_s))]
    assert clock.pauses == [0, 0]  # jobs that wait for nothing end meanwhile
