"""Enqueues the jobs of schedules. All processes poll; a compare-and-set lets one of them enqueue each run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import database_time, execute, fetch
from addonkit.jobs.queue import DEPLOYMENT, insert_jobs, notify_workers
from addonkit.schedule import Cron, Interval, parse_rule
from addonkit.work import JobKind, JobSpec, NewJob

POLL_S = 1.0
STEP_TENANTS = 1000
MIN_DELAY_S = 1.0
"""A job that would become due sooner is due at once: an add-on of a hundred sites has nothing to spread."""
UPSERT_SCHEDULE = """
INSERT INTO addonkit_schedule (plugin, name, rule, next_at) VALUES (?, ?, ?, ?)
ON CONFLICT (plugin, name) DO UPDATE SET rule = excluded.rule, next_at = excluded.next_at
WHERE addonkit_schedule.rule <> excluded.rule
"""
SELECT_SCHEDULES = "SELECT plugin, name, next_at, last_at, reached, UNIX_TIME() AS now FROM addonkit_schedule"
# Compare-and-set: of several processes that have read the same next_at or reached, one succeeds.
CLAIM_RUN = """
UPDATE addonkit_schedule SET next_at = ?, last_at = ?, reached = ? WHERE plugin = ? AND name = ? AND next_at = ?
"""
CLAIM_STEP = "UPDATE addonkit_schedule SET reached = ? WHERE plugin = ? AND name = ? AND reached = ?"
NEXT_TENANTS = "SELECT id FROM addonkit_tenant WHERE id > ? AND state IN ('installed', 'enabled') ORDER BY id LIMIT ?"
COUNT_TENANTS = "SELECT count(*) AS number FROM addonkit_tenant WHERE state IN ('installed', 'enabled')"
DEDUPE_KEY = "(schedule)"
"""Dedupe key of all jobs of schedules: at most one job of a schedule waits per tenant."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a schedule for each tenant. Times are Unix time in seconds, by the database's clock.

    Attributes:
        began_at: When it began.
        next_at: When the next run begins.
    """

    began_at: float
    next_at: float

    def spread_s(self, spec: JobSpec, sites: int) -> float:
        """Return the seconds over which its jobs become due, which end before the next run."""
        assert spec.schedule is not None  # noqa: S101 - see the arguments of Schedules
        return min(spec.schedule.spread_s(sites), max(0.0, self.next_at - self.began_at))


class Schedules:
    """The schedules of the enabled plugins.

    Args:
        specs: Job handlers that have a schedule.
    """

    def __init__(self, specs: Sequence[JobSpec]) -> None:
        self._specs = {(spec.plugin, spec.name): spec for spec in specs}
        self._next_poll = 0.0

    async def register(self) -> None:
        """Store when each schedule runs first; a schedule whose rule has changed starts over."""
        now = await database_time() if self._specs else 0.0
        for (plugin, name), spec in self._specs.items():
            rule = _rule(spec)
            await execute(UPSERT_SCHEDULE, [plugin, name, rule.rule, rule.next_after(now)])

    async def enqueue_due(self) -> None:
        """Enqueue the jobs of schedules that are due, at most once per ``POLL_S``."""
        if not self._specs or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_S
        for row in await fetch(SELECT_SCHEDULES):
            spec = self._specs.get((row["plugin"], row["name"]))
            if spec is None:
                continue
            with storage_errors():
                if row["next_at"] <= row["now"]:
                    await self._start_run(spec, row["next_at"], row["now"])
                elif row["reached"] is not None:
                    # A run that a release without "last_at" began has none; it is not spread.
                    run = Run(row["last_at"] or row["next_at"], row["next_at"])
                    await _enqueue_step(spec, run, row["reached"], row["now"])

    async def _start_run(self, spec: JobSpec, due_at: float, now: float) -> None:
        each_tenant = spec.schedule is not None and spec.schedule.each_tenant
        async with in_transaction(CONNECTION):
            next_at = _rule(spec).next_after(now)
            if not await execute(CLAIM_RUN, [next_at, now, 0 if each_tenant else None, spec.plugin, spec.name, due_at]):
                return
            if not each_tenant:
                await insert_jobs([_job(spec, DEPLOYMENT)])
                await notify_workers()
        if each_tenant:
            await _enqueue_step(spec, Run(now, next_at), 0, now)


async def _enqueue_step(spec: JobSpec, run: Run, reached: int, now: float) -> None:
    """Enqueue a job for each of the next ``STEP_TENANTS`` tenants; each poll takes one step.

    A job becomes due after its tenant's share of the time over which the run is spread.

    A step holds the database's write lock briefly. If the process dies between two steps, another one continues after
    the tenant ``reached``.
    """
    async with in_transaction(CONNECTION):
        rows = await fetch(NEXT_TENANTS, [reached, STEP_TENANTS])
        last = rows[-1]["id"] if len(rows) == STEP_TENANTS else None
        if not await execute(CLAIM_STEP, [last, spec.plugin, spec.name, reached]):
            return
        [sites] = await fetch(COUNT_TENANTS)
        spread_s = run.spread_s(spec, sites["number"])
        delays = [spread_s * share_of(spec, row["id"]) - (now - run.began_at) for row in rows]
        await insert_jobs([_job(spec, row["id"], delay) for row, delay in zip(rows, delays, strict=True)])
        await notify_workers()


def share_of(spec: JobSpec, tenant_id: int) -> float:
    """Return after which share of a run's time a tenant's job becomes due: from 0 to below 1, the same in all runs."""
    digest = blake2b(f"{spec.plugin}.{spec.name}:{tenant_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _job(spec: JobSpec, tenant_id: int, delay_s: float = 0.0) -> NewJob:
    due_at = time.time() + delay_s if delay_s >= MIN_DELAY_S else 0.0
    order = f"schedule:{spec.name}"
    return NewJob(
        *(spec.plugin, spec.name, JobKind.SCHEDULE), tenant_id=tenant_id, dedupe=DEDUPE_KEY, order=order, due_at=due_at
    )


def _rule(spec: JobSpec) -> Interval | Cron:
    assert spec.schedule is not None  # noqa: S101 - see the class's arguments
    return parse_rule(spec.schedule.rule)
