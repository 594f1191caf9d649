"""Jobs that are done: moved out of the table that jobs are claimed from, without their payloads, and later deleted.

The unique key of a webhook (tenant, plugin, name, dedupe key) moves with it, so that a repeated delivery is recognised
for as long as done jobs are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.sql import SKIP_LOCKED
from addonkit.work import JobKind, NewJob

MOVE_AFTER_S = 60.0
"""How long a done job stays where it was, for commands that follow the queue."""
ROUND_S = 15.0
STEP_ROWS = 500
IDLE_SHARE = 3
"""How many times as long as a step took the pause after it lasts at least."""

COLUMNS = """id, tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key, due_at, starts, failures,
    error, created_at, finished_at, request_id, traceparent"""
MOVABLE = """
SELECT id FROM addonkit_job WHERE state = 'done' AND finished_at < UNIX_TIME() - ? ORDER BY finished_at LIMIT ?{}
"""
# ON CONFLICT: a process of an earlier release may have stored and handled a webhook that is here already.
MOVE = f"""
INSERT INTO addonkit_done_job ({COLUMNS})
SELECT {COLUMNS.replace("payload", "CASE WHEN ? > 0 THEN payload END")} FROM addonkit_job
WHERE state = 'done' AND id IN ({{}}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - put together from constants
DELETE_MOVED = "DELETE FROM addonkit_job WHERE state = 'done' AND id IN ({})"
RESTORE = f"""
INSERT INTO addonkit_job ({COLUMNS}, state, deaths) SELECT {COLUMNS}, 'done', 0 FROM addonkit_done_job
WHERE payload IS NOT NULL AND id IN ({{}}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - as above
DELETE_RESTORED = """
DELETE FROM addonkit_done_job WHERE id IN ({}) AND EXISTS (
    SELECT 1 FROM addonkit_job j WHERE j.id = addonkit_done_job.id
)
"""
DROP_PAYLOADS = """
UPDATE addonkit_done_job SET payload = NULL WHERE payload IS NOT NULL AND id IN (
    SELECT id FROM addonkit_done_job WHERE payload IS NOT NULL AND finished_at < UNIX_TIME() - ? LIMIT ?
)
"""
DELETE_DONE = """
DELETE FROM addonkit_done_job WHERE id IN (SELECT id FROM addonkit_done_job WHERE finished_at < UNIX_TIME() - ? LIMIT ?)
"""
DELETE_UNMOVED = """
DELETE FROM addonkit_job WHERE id IN (
    SELECT id FROM addonkit_job WHERE state = 'done' AND finished_at < UNIX_TIME() - ? LIMIT ?
)
"""
KEY = "(CAST(? AS integer), CAST(? AS varchar(100)), CAST(? AS varchar(100)), CAST(? AS varchar(255)))"
DONE_KEYS = """
SELECT tenant_id, plugin, name, dedupe FROM addonkit_done_job
WHERE dedupe IS NOT NULL AND (tenant_id, plugin, name, dedupe) IN (VALUES {})
"""
DELETE_REPEATED = """
DELETE FROM addonkit_job WHERE tenant_id = ? AND plugin = ? AND name = ? AND dedupe = ? AND starts = 0
"""


class DoneJobs:
    """Moves done jobs, in small steps beside the loop that leases jobs.

    Args:
        keep_payloads_hours: Hours for which their payloads are kept; 0: they are dropped when the jobs are moved.
    """

    def __init__(self, keep_payloads_hours: float) -> None:
        self._keep_payloads_hours = keep_payloads_hours

    async def run(self) -> None:
        """Move jobs until cancelled; the database may be unavailable meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                is_complete = await move_done(self._keep_payloads_hours) < STEP_ROWS
            except AddonkitError:
                is_complete = True  # the loop that leases jobs logs an unavailable database
            await asyncio.sleep(ROUND_S if is_complete else IDLE_SHARE * (loop.time() - began))


async def move_done(keep_payloads_hours: float, after_s: float = MOVE_AFTER_S) -> int:
    """Move a step of done jobs to their own table.

    Args:
        keep_payloads_hours: Hours for which their payloads are kept; 0: they are dropped.
        after_s: Seconds that must have passed since they were done.

    Returns:
        The number of moved jobs.

    Raises:
        StorageUnavailable: The database did not answer; nothing was moved.
    """
    with storage_errors():
        if not await fetch(MOVABLE.format(""), [after_s, 1]):
            return 0  # a read, so that nothing takes SQLite's one write lock
        async with in_transaction(CONNECTION):
            rows = await fetch(MOVABLE.format(SKIP_LOCKED if on_postgres() else ""), [after_s, STEP_ROWS])
            ids = [row["id"] for row in rows]
            if ids:
                await execute(MOVE.format(placeholders(len(ids))), [int(keep_payloads_hours), *ids])
                await execute(DELETE_MOVED.format(placeholders(len(ids))), ids)
            return len(ids)


async def restore_done(ids: Sequence[int]) -> None:
    """Move done jobs that still have a payload back to the queue, in the current transaction."""
    if ids:
        await execute(RESTORE.format(placeholders(len(ids))), ids)
        await execute(DELETE_RESTORED.format(placeholders(len(ids))), ids)


async def drop_payloads(hours: float) -> None:
    """Drop the payloads of jobs that finished longer ago than this many hours."""
    step = STEP_ROWS
    while step == STEP_ROWS:
        step = await execute(DROP_PAYLOADS, [hours * 3600, STEP_ROWS])


async def delete_done(hours: float) -> int:
    """Delete jobs that finished longer ago than this many hours.

    Returns:
        The number of deleted jobs.
    """
    deleted = 0
    for statement in (DELETE_DONE, DELETE_UNMOVED):
        step = STEP_ROWS
        while step == STEP_ROWS:
            step = await execute(statement, [hours * 3600, STEP_ROWS])
            deleted += step
    return deleted


async def delete_repeated(jobs: Sequence[NewJob], tenants: Sequence[int]) -> bool:
    """Delete webhooks that were just inserted and are done already, in the current transaction.

    They are looked for after the insert: if one of them was being moved, the insert has waited for that.

    Args:
        jobs: The inserted jobs.
        tenants: The number of the tenant of each.

    Returns:
        Whether any was deleted.
    """
    keys = [
        [tenant, job.plugin, job.name, job.dedupe]
        for job, tenant in zip(jobs, tenants, strict=True)
        if job.kind is JobKind.WEBHOOK and job.dedupe is not None
    ]
    if not keys:
        return False
    # Powers of two, so that few different statements are prepared.
    padded = keys + [keys[-1]] * ((1 << (len(keys) - 1).bit_length()) - len(keys))
    values = [value for key in padded for value in key]
    repeated = await fetch(DONE_KEYS.format(", ".join([KEY] * len(padded))), values)
    for row in repeated:
        await execute(DELETE_REPEATED, [row["tenant_id"], row["plugin"], row["name"], row["dedupe"]])
    return bool(repeated)
