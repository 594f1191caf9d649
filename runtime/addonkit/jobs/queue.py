"""Putting jobs into the database, one in the caller's transaction or many in one of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, execute_many, fetch, on_postgres
from addonkit.jobs.sql import INSERT, INTO, UNORDERED
from addonkit.jobs.wakeup import notify_all
from addonkit.tenant_data.scope import current_tenant
from addonkit.work import NewJob

LOCK_ORDER = "SELECT pg_advisory_xact_lock(hashtextextended(?, 7))"
LARGEST_STATEMENT = 128
"""Rows of one statement at most."""
DEPLOYMENT = 0
"""Stands in place of a site's number for what concerns the deployment itself."""


class JobQueue:
    """Where jobs are kept: see :class:`addonkit.work.Queue`."""

    async def put(self, job: NewJob) -> int | None:
        """Keep a job, in the transaction at hand if there is one; give its number, or None if it is there already.

        Raises:
            TenantMissing: It names no site and none is in scope.
            StorageUnavailable: The database did not answer; nothing is kept.
        """
        with storage_errors():
            if job.order is not None and on_postgres():
                return await _put_in_order(job)
            number = await _put(job)
            await notify_all()
            return number


async def _put(job: NewJob) -> int | None:
    rows = await fetch(f"{INSERT} RETURNING id", row_of(job))
    return int(rows[0]["id"]) if rows else None


async def _put_in_order(job: NewJob) -> int | None:
    """Likewise, with all others of its order waiting until it is known which of them comes first."""
    async with in_transaction(CONNECTION):
        await lock_orders([job])
        number = await _put(job)
        await notify_all()
        return number


async def put_all(jobs: Sequence[NewJob]) -> None:
    """Keep jobs in the transaction at hand; those that are there already are passed over.

    Raises:
        IntegrityError: One of them cannot be kept; none is.
    """
    await lock_orders(jobs)
    ordered = [job for job in jobs if job.order is not None or on_postgres()]
    if ordered:
        await execute_many(INSERT, [row_of(job) for job in ordered])
    plain = [job for job in jobs if job.order is None and not on_postgres()]
    while plain:
        # by halves, so that there are few such statements to be prepared
        size = min(LARGEST_STATEMENT, 1 << (len(plain).bit_length() - 1))
        part, plain = plain[:size], plain[size:]
        values = [value for job in part for value in unordered_row_of(job)]
        await execute(f"{INTO} VALUES {', '.join([UNORDERED] * size)} ON CONFLICT DO NOTHING", values)


async def lock_orders(jobs: Sequence[NewJob]) -> None:
    """Hold the orders of these jobs until the transaction ends; in one sequence, so that no two wait in a ring."""
    if on_postgres():
        for word in sorted({f"{_site(job)}/{job.plugin}/{job.order}" for job in jobs if job.order is not None}):
            await fetch(LOCK_ORDER, [word])


def unordered_row_of(job: NewJob) -> list[Any]:
    """The values of ``UNORDERED``."""
    row = row_of(job)
    return [*row[:8], *row[9:11], row[-1]]


def row_of(job: NewJob) -> list[Any]:
    """The values of ``INSERT``."""
    now, site = time.time(), _site(job)
    due_at = job.due_at or now
    facts = orjson.dumps(dict(job.facts)).decode()
    return [
        *(site, job.plugin, job.name, str(job.kind), job.payload, job.version, facts, job.dedupe, job.order),
        *(due_at, now),
        *(site, job.plugin, job.order),
        "ready" if due_at <= now else "waiting",
    ]


def _site(job: NewJob) -> int:
    return current_tenant().id if job.tenant_id is None else job.tenant_id
