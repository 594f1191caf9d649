"""One look at the queue: what is over is written down, what is due is begun, all in one transaction.

Tenants take turns: each round goes on behind the tenant that the last one ended with, and gives each that has work an
equal part of what is free. On PostgreSQL two processes never look at one tenant at the same moment, so that the bound
on what runs for it holds across all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute_many, fetch, on_postgres, placeholders
from addonkit.jobs.job import JobResult, LeasedJob
from addonkit.jobs.sql import CLAIM, OLDEST, READY, RUNNING, SETTLE, SUSPECT, TENANTS, UNBLOCK
from addonkit.work import JobState

LEASE_S = 20.0
"""How long a job belongs to a process that is not heard of any more."""
LOCKED_TENANTS = "SELECT tenant_id FROM ({}) AS turn WHERE pg_try_advisory_xact_lock(7, tenant_id)"


class Dispatcher:
    """The rounds of one process.

    Args:
        worker: The process's name, at most 64 characters.
        per_tenant: Most jobs of one tenant that run at once, in all processes.
    """

    def __init__(self, worker: str, per_tenant: int) -> None:
        self._worker, self._per_tenant = worker, per_tenant
        self._behind = -1

    async def take(self, over: Sequence[JobResult], free: int, *, suspect: bool = False) -> list[LeasedJob]:
        """Write down what is over and begin as many others as are free.

        Args:
            over: What became of earlier ones.
            free: How many may begin.
            suspect: Whether one is to begin that a process has died with; it begins alone.

        Raises:
            StorageUnavailable: The database did not answer; nothing was written, nothing begun.
        """
        with storage_errors():
            if not over and not suspect and not (free > 0 and await _has_ready()):
                return []
            async with in_transaction(CONNECTION):
                if over:
                    await _settle(over)
                if suspect:
                    return await self._begin([SUSPECT], [])
                return await self._begin(*await self._chosen(free)) if free > 0 else []

    async def _chosen(self, free: int) -> tuple[list[str], list[int]]:
        """Queries that give what begins, and their values."""
        tenants = await self._turns(free)
        if not tenants:
            return [], []
        running = {
            row["tenant_id"]: row["number"] for row in await fetch(RUNNING.format(placeholders(len(tenants))), tenants)
        }
        share = -(-free // len(tenants))
        queries: list[str] = []
        values: list[int] = []
        for tenant in tenants:
            part = min(share, self._per_tenant - running.get(tenant, 0), free)
            if part > 0:
                queries.append(OLDEST)
                values += [tenant, part]
                free -= part
        return queries, values

    async def _turns(self, most: int) -> list[int]:
        """The next tenants that have work, as many as there can be."""
        query = LOCKED_TENANTS.format(TENANTS) if on_postgres() else TENANTS
        found = [row["tenant_id"] for row in await fetch(query, [self._behind, most])]
        if len(found) < most and self._behind >= 0:
            first = [row["tenant_id"] for row in await fetch(query, [-1, most - len(found)])]
            found += [tenant for tenant in first if tenant <= self._behind]
        self._behind = found[-1] if found else -1
        return found

    async def _begin(self, queries: list[str], values: list[int]) -> list[LeasedJob]:
        if not queries:
            return []
        claim = CLAIM.format(" UNION ALL ".join(f"SELECT * FROM ({query}) AS part" for query in queries))  # noqa: S608 - constants
        rows = await fetch(claim, [self._worker, time.time() + LEASE_S, *values])
        return sorted(map(LeasedJob.of, rows), key=lambda job: job.id)


async def _has_ready() -> bool:
    """Whether there is anything to begin: who finds nothing takes no lock."""
    [row] = await fetch(READY)
    return bool(row["found"])


async def _settle(over: Sequence[JobResult]) -> None:
    await execute_many(SETTLE, [outcome.values() for outcome in over])
    ended = [
        [time.time(), one.job.tenant_id, one.job.plugin, one.job.order]
        for one in over
        if one.job.order is not None and one.state in (JobState.DONE, JobState.DEAD)
    ]
    if ended:
        await execute_many(UNBLOCK, ended)
