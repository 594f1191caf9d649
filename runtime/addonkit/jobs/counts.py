"""Numbers of jobs by plugin and state, which cost the same however many jobs there are.

Triggers of the job table maintain them in the transaction of each change, whoever makes it: see the migration
``0013_job_counts``. On PostgreSQL they append changes to a table of their own, which this module folds into the totals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import database_time, fetch, on_postgres
from addonkit.errors import AddonkitError
from addonkit.jobs.recount import CHANGED, COLUMNS, KEPT, NAMES, counted_at, recount

FOLD_S = 5.0
STEP_ROWS = 20_000
RECOUNT_S = 7 * 86400.0
"""How long after the rows were counted they are counted again, in case someone has switched the triggers off."""
READ = f"""
SELECT plugin, {", ".join(f"CAST(sum({name}) AS bigint) AS {name}" for name in NAMES)}
FROM ({{}}) AS parts GROUP BY plugin ORDER BY plugin
"""  # noqa: S608 - put together from constants
LOCK_FOLDING = "SELECT pg_try_advisory_xact_lock(7, -2) AS is_locked"
HAS_CHANGES = "SELECT EXISTS (SELECT 1 FROM addonkit_job_delta) AS found"
# The array makes PostgreSQL find the rows by their addresses, whatever it knows about the table.
FOLD = f"""
WITH folded AS (
    DELETE FROM addonkit_job_delta
    WHERE ctid = ANY (ARRAY (SELECT ctid FROM addonkit_job_delta LIMIT {STEP_ROWS})) RETURNING *
), added AS (
INSERT INTO addonkit_job_count (plugin, {COLUMNS})
SELECT plugin, {", ".join(f"sum({name})" for name in NAMES)} FROM folded GROUP BY plugin ORDER BY plugin
ON CONFLICT (plugin) DO UPDATE SET
    {", ".join(f"{name} = addonkit_job_count.{name} + excluded.{name}" for name in NAMES)}
)
SELECT count(*) AS number FROM folded
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Numbers of one plugin's jobs.

    Attributes:
        failing: Unfinished jobs with a failed attempt.
    """

    waiting: int = 0
    ready: int = 0
    blocked: int = 0
    held: int = 0
    running: int = 0
    dead: int = 0
    failing: int = 0

    @property
    def pending(self) -> int:
        """Unfinished jobs."""
        return self.waiting + self.ready + self.blocked + self.held + self.running

    def is_empty(self) -> bool:
        """Whether the plugin has neither unfinished nor dead jobs."""
        return not any(getattr(self, field.name) for field in fields(self))


async def read_counts() -> Mapping[str, JobCounts] | None:
    """Return the numbers of each plugin that has or had jobs; None until the rows from before the triggers are counted.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    if await counted_at() is None:
        return None
    rows = await fetch(READ.format(f"{KEPT} UNION ALL {CHANGED}" if on_postgres() else KEPT))
    return {row["plugin"]: JobCounts(**{name: row[name] for name in NAMES}) for row in rows}


class CountKeeper:
    """Folds the changes into the totals, and counts the rows of the job table at first and once a week.

    All processes that run jobs do so; advisory locks let one of them do it at a time.
    """

    async def run(self) -> None:
        """Keep the numbers until cancelled; the database may be unavailable meanwhile."""
        while True:
            is_complete = True
            try:
                if on_postgres():
                    is_complete = await fold_changes() < STEP_ROWS
                last = await counted_at()
                if last is None or last < await database_time() - RECOUNT_S:
                    await recount()
            except AddonkitError:
                pass  # the loop that leases jobs logs an unavailable database
            await asyncio.sleep(FOLD_S if is_complete else FOLD_S / 10)


async def fold_changes() -> int:
    """Add a step of changes to the totals (PostgreSQL only).

    Returns:
        The number of changes, at most ``STEP_ROWS``; 0 if another process does it.

    Raises:
        StorageUnavailable: The database did not answer; nothing was changed.
    """
    [row] = await fetch(HAS_CHANGES)
    if not row["found"]:
        return 0
    with storage_errors():
        async with in_transaction(CONNECTION):
            [row] = await fetch(LOCK_FOLDING)
            if not row["is_locked"]:
                return 0
            [row] = await fetch(FOLD)
            return int(row["number"])
