"""Blocked jobs that have become the first of their order key are unblocked, in small steps beside the dispatcher."""

from __future__ import annotations

import time

import pytest
from addonkit.database.sql import fetch
from addonkit.jobs.models import JobRow
from addonkit.jobs.sql import BLOCKED
from addonkit.jobs.unblocking import STEP_ROWS, Unblocker

NOW = 1_000_000.0
LATER = 9e9


def row(key, state, due_at=NOW):
    return JobRow(
        tenant_id=1,
        plugin="working",
        name="note",
        kind="job",
        payload=b"{}",
        order_key=key,
        state=state,
        due_at=due_at,
        created_at=NOW,
        lease_until=LATER if state == "running" else None,
    )


def behind(key, count):
    """A held job with many blocked ones behind it."""
    return [row(key, "held"), *(row(key, "blocked") for _ in range(count))]


# The rows of the table, and the states of those with the key "a" afterwards.
CASES = {
    "alone": ([row("a", "blocked")], ["ready"]),
    "not due": ([row("a", "blocked", LATER)], ["waiting"]),
    "behind a dead one": ([row("a", "dead"), row("a", "blocked"), row("a", "blocked")], ["dead", "ready", "blocked"]),
    "behind a done one": ([row("a", "done"), row("a", "blocked")], ["done", "ready"]),
    "behind a held one": ([row("a", "held"), row("a", "blocked")], ["held", "blocked"]),
    "a later one runs": ([row("a", "blocked"), row("a", "running")], ["blocked", "running"]),
    "the oldest of many": ([row("a", "blocked"), *behind("b", 3 * STEP_ROWS)], ["ready"]),
    "the newest of many": ([*behind("b", 3 * STEP_ROWS), row("a", "blocked")], ["ready"]),
    "in the middle of many": ([*behind("b", STEP_ROWS), row("a", "blocked"), *behind("c", STEP_ROWS)], ["ready"]),
    "one of many keys": ([*(one for n in range(600) for one in behind(f"b{n}", 1)), row("a", "blocked")], ["ready"]),
}


@pytest.fixture
async def stopped(wire):
    """An add-on whose worker has stopped, with an empty queue."""
    await wire.addon.background.stop(1)
    await JobRow.all().delete()


@pytest.mark.parametrize("case", CASES)
async def test_unblocker_makes_the_first_blocked_job_of_a_key_ready(stopped, case):
    rows, expected = CASES[case]
    await JobRow.bulk_create([JobRow(**{k: v for k, v in dict(one).items() if k != "id"}) for one in rows])
    unblocker = Unblocker()
    while not await unblocker.step():
        pass
    assert await JobRow.filter(order_key="a").order_by("id").values_list("state", flat=True) == expected
    assert await JobRow.filter(state__in=["ready", "waiting"]).exclude(order_key="a").count() == 0


async def test_unblocker_finds_a_new_row_in_its_first_step_behind_a_backlog(stopped):
    rows = [*behind("b", 3 * STEP_ROWS), row("a", "blocked")]
    await JobRow.bulk_create([JobRow(**{k: v for k, v in dict(one).items() if k != "id"}) for one in rows])
    assert not await Unblocker().step()
    assert (await JobRow.get(order_key="a")).state == "ready"


@pytest.mark.sqlite
async def test_unblocker_reads_blocked_rows_by_partial_indexes_alone(stopped):
    plan = await fetch(f"EXPLAIN QUERY PLAN {BLOCKED.format('ASC')}", [0, STEP_ROWS])
    steps = [row["detail"] for row in plan]
    assert any("addonkit_job_blocked" in step for step in steps)
    assert any("addonkit_job_ordered" in step for step in steps)
    assert not [step for step in steps if step.startswith("SCAN addonkit_job") and "INDEX" not in step]


async def test_ordered_job_runs_once_its_predecessor_has_died_for_the_last_time(stopped, wire):
    from addonkit.jobs.leases import MAX_DEATHS, release_expired_leases

    first = row("a", "running")
    first.deaths, first.lease_until, first.starts = MAX_DEATHS - 1, time.time() - 1, MAX_DEATHS
    await first.save()
    await row("a", "blocked").save()
    assert await release_expired_leases() == 1
    assert await JobRow.all().order_by("id").values_list("state", flat=True) == ["dead", "ready"]
