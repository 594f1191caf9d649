"""The dispatcher: stores the results of jobs and leases ready jobs, both in one transaction.

Tenants take turns (round robin): each call continues after the last tenant of the previous call, and leases jobs of
each tenant for an equal share of the free slots. On PostgreSQL an advisory lock per tenant keeps two processes from
leasing jobs of one tenant at the same time; therefore ``per_tenant`` is a limit over all processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import (
    execute,
    execute_many,
    fetch,
    fetch_alone,
    fetch_rows,
    leave_session_unchanged,
    on_postgres,
    placeholders,
)
from addonkit.jobs.job import JobResult, LeasedJob
from addonkit.jobs.sql import (
    HAS_READY,
    HAS_SUSPECTS,
    IDS_POSTGRES,
    IDS_SQLITE,
    JOB_ID,
    LEASE,
    LEASE_WITH_TENANTS,
    LOCKED,
    OLDEST_READY_IN_TURN,
    OLDEST_READY_OF_TENANT,
    OLDEST_SUSPECT,
    RUNNING_PER_TENANT,
    SETTLE,
    SETTLED_ARRAYS,
    SETTLED_VALUES,
    SKIP_LOCKED,
    TENANTS,
    TENANTS_IN_TURN,
    UNBLOCK_NEXT,
    unblock_values,
)

LEASE_S = 12.0
"""How long a lease lasts unless the worker renews it."""


class Dispatcher:
    """Leases jobs for one worker.

    Args:
        worker: The worker's name, at most 64 characters.
        per_tenant: Maximum number of concurrent jobs of one tenant, in all processes together.
    """

    def __init__(self, worker: str, per_tenant: int) -> None:
        self._worker, self._per_tenant = worker, per_tenant
        self._last_tenant = -1

    async def dispatch(self, results: Sequence[JobResult], free: int) -> list[LeasedJob]:
        """Write down results and lease jobs, the longest waiting first.

        Args:
            results: Results of earlier jobs.
            free: Most jobs to lease.

        Raises:
            StorageUnavailable: The database did not answer; nothing was written or leased.
        """
        with storage_errors():
            if not results and not (free > 0 and await _has_ready()):
                return []
            async with in_transaction(CONNECTION):
                leave_session_unchanged()
                if results:
                    await _settle(results)
                return await self._lease_in_turn(free) if free > 0 else []

    async def lease_suspect(self) -> LeasedJob | None:
        """Lease the oldest suspect job, a job that a process died with; None if there is none.

        Raises:
            StorageUnavailable: The database did not answer; nothing was leased.
        """
        with storage_errors():
            if not await has_suspects():
                return None
            async with in_transaction(CONNECTION):
                # A statement of its own: within UPDATE, PostgreSQL may run a subquery that locks rows twice.
                ids = await fetch(OLDEST_SUSPECT.format(SKIP_LOCKED if on_postgres() else ""))
                leased = await self._lease([JOB_ID] * len(ids), [row["id"] for row in ids])
                return leased[0] if leased else None

    async def _lease_in_turn(self, free: int) -> list[LeasedJob]:
        """Lease the oldest ready jobs of the next tenants, of each an equal share within its limit."""
        tenants = await self._next_tenants(free)
        if not tenants:
            return []
        share = -(-free // len(tenants))
        if on_postgres():
            return await self._lease([OLDEST_READY_IN_TURN], [tenants, share, self._per_tenant, free])
        rows = await fetch(RUNNING_PER_TENANT.format(placeholders(len(tenants))), tenants)
        running = {row["tenant_id"]: row["number"] for row in rows}
        queries: list[str] = []
        values: list[Any] = []
        for tenant in tenants:
            slots = min(share, self._per_tenant - running.get(tenant, 0), free)
            if slots > 0:
                queries.append(OLDEST_READY_OF_TENANT)
                values += [tenant, slots]
                free -= slots
        return await self._lease(queries, values)

    async def _next_tenants(self, limit: int) -> list[int]:
        """Return the next tenants in turn that have ready jobs."""
        query = TENANTS_IN_TURN.format(LOCKED if on_postgres() else "")
        last = self._last_tenant
        found = [row["tenant_id"] for row in await fetch_rows(query, [last, last, last, limit])]
        self._last_tenant = found[-1] if found else -1
        return found

    async def _lease(self, queries: list[str], values: list[Any]) -> list[LeasedJob]:
        if not queries:
            return []
        ids = " UNION ALL ".join(f"SELECT * FROM ({query}) AS part" for query in queries)  # noqa: S608 - constants
        if on_postgres():
            rows = await fetch_rows(
                LEASE_WITH_TENANTS.format(IDS_POSTGRES.format(ids)), [self._worker, LEASE_S, *values]
            )
            jobs = [LeasedJob.from_row(row, None if row["product"] is None else row) for row in rows]
        else:
            rows = await fetch_rows(LEASE.format(IDS_SQLITE.format(ids)), [self._worker, LEASE_S, *values])
            numbers = sorted({row["tenant_id"] for row in rows})
            tenants = {row["id"]: row for row in await fetch_rows(TENANTS.format(placeholders(len(numbers))), numbers)}
            jobs = [LeasedJob.from_row(row, tenants.get(row["tenant_id"])) for row in rows]
        return sorted(jobs, key=lambda job: job.id)


async def has_suspects() -> bool:
    """Whether any suspect job is ready; a plain read, as for ready jobs."""
    [row] = await fetch_alone(HAS_SUSPECTS)
    return bool(row["found"])


async def _has_ready() -> bool:
    """Whether any job is ready; a read outside a transaction, so an idle worker takes no lock."""
    [row] = await fetch_alone(HAS_READY)
    return bool(row["found"])


async def _settle(results: Sequence[JobResult]) -> None:
    """Store results and unblock the next job of each order key."""
    rows = [result.values() for result in results]
    if on_postgres():
        await execute(SETTLE.format(SETTLED_ARRAYS), [list(column) for column in zip(*rows, strict=True)])
    else:
        rows_sql = ", ".join([f"({placeholders(len(rows[0]))})"] * len(rows))
        await execute(SETTLE.format(SETTLED_VALUES.format(rows_sql)), [value for row in rows for value in row])
    finished = [
        unblock_values(result.job.tenant_id, result.job.plugin, result.job.order)
        for result in results
        if result.job.order is not None and result.is_final()
    ]
    if finished:
        await execute_many(UNBLOCK_NEXT, finished)
