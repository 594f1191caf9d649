"""What happens again and again: each time once, whichever of the processes sees first that it has come."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch
from addonkit.jobs.queue import DEPLOYMENT, put_all
from addonkit.jobs.wakeup import notify_all
from addonkit.schedule import Cron, Interval, parse_rule
from addonkit.work import JobKind, JobSpec, NewJob

LOOK_EVERY_S = 1.0
STEP_SITES = 1000
FIRST = """
INSERT INTO addonkit_schedule (plugin, name, rule, next_at) VALUES (?, ?, ?, ?)
ON CONFLICT (plugin, name) DO UPDATE SET rule = excluded.rule, next_at = excluded.next_at
WHERE addonkit_schedule.rule <> excluded.rule
"""
ALL = "SELECT plugin, name, next_at, reached FROM addonkit_schedule"
# Of several processes that have read one time, or one site, one finds it still there.
CLAIM = """
UPDATE addonkit_schedule SET next_at = ?, last_at = ?, reached = ? WHERE plugin = ? AND name = ? AND next_at = ?
"""
STEP = "UPDATE addonkit_schedule SET reached = ? WHERE plugin = ? AND name = ? AND reached = ?"
SITES = "SELECT id FROM addonkit_tenant WHERE id > ? AND state IN ('installed', 'enabled') ORDER BY id LIMIT ?"
WAITING = "(schedule)"
"""Of a schedule's jobs for one site, one waits at a time."""


class Schedules:
    """The schedules of the enabled plugins.

    Args:
        specs: Those that have one.
    """

    def __init__(self, specs: Sequence[JobSpec]) -> None:
        self._specs = {(spec.plugin, spec.name): spec for spec in specs}
        self._next_look = 0.0

    async def begin(self) -> None:
        """Note when each happens first; one whose rule has changed begins anew."""
        with storage_errors():
            for (plugin, name), spec in self._specs.items():
                rule = _rule(spec)
                await execute(FIRST, [plugin, name, rule.rule, rule.next_after(time.time())])

    async def look(self) -> None:
        """Put into the queue what has come."""
        if not self._specs or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        with storage_errors():
            for row in await fetch(ALL):
                spec = self._specs.get((row["plugin"], row["name"]))
                if spec is None:
                    continue
                if row["next_at"] <= time.time():
                    await self._happen(spec, row["next_at"])
                elif row["reached"] is not None:
                    await _go_on(spec, row["reached"])

    async def _happen(self, spec: JobSpec, at: float) -> None:
        now = time.time()
        each = spec.schedule is not None and spec.schedule.each_tenant
        async with in_transaction(CONNECTION):
            claim = [_rule(spec).next_after(now), now, 0 if each else None, spec.plugin, spec.name, at]
            if not await execute(CLAIM, claim):
                return
            if not each:
                await put_all([_job(spec, DEPLOYMENT)])
                await notify_all()
        if each:
            await _go_on(spec, 0)


async def _go_on(spec: JobSpec, reached: int) -> None:
    """A job for each of the next sites that use the add-on: some at a time, so that nobody waits long for the database.

    A process that dies between two steps leaves the rest to whoever looks next.
    """
    async with in_transaction(CONNECTION):
        rows = await fetch(SITES, [reached, STEP_SITES])
        last = rows[-1]["id"] if len(rows) == STEP_SITES else None
        if not await execute(STEP, [last, spec.plugin, spec.name, reached]):
            return
        await put_all([_job(spec, row["id"]) for row in rows])
        await notify_all()


def _job(spec: JobSpec, site: int) -> NewJob:
    order = f"schedule:{spec.name}"
    return NewJob(spec.plugin, spec.name, JobKind.SCHEDULE, tenant_id=site, dedupe=WAITING, order=order)


def _rule(spec: JobSpec) -> Interval | Cron:
    assert spec.schedule is not None  # noqa: S101 - those alone are handed over
    return parse_rule(spec.schedule.rule)
