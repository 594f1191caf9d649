"""Enqueues jobs, and wakes up workers: those of this process by a callback, others by PostgreSQL's NOTIFY."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
from tortoise.transactions import in_transaction

from addonkit.current import check_writable, current_work
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import after_commit, execute, execute_many, fetch, on_postgres
from addonkit.jobs.done import delete_repeated
from addonkit.jobs.sql import INSERT, INSERT_INTO, UNORDERED_ROW
from addonkit.observers import current_tracer
from addonkit.tenancy.notifications import WORK_CHANNEL
from addonkit.tenant_data.scope import current_tenant
from addonkit.work import JobKind, NewJob

LOCK_ORDER_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(?, 7))"
MAX_ROWS_PER_STATEMENT = 128
DEPLOYMENT = 0
"""Tenant number of jobs that concern the deployment and no tenant."""


class JobQueue:
    """The queue in the database; see :class:`addonkit.work.Queue`."""

    async def put(self, job: NewJob) -> int | None:
        """Enqueue a job, within the current transaction if there is one.

        Returns:
            The job's id; None if a job with its dedupe key exists already.

        Raises:
            TenantMissing: The job names no tenant and no tenant scope is open.
            SiblingForbidden: The current tenant is the sibling of the tenant that the work is for.
            StorageUnavailable: The database did not answer; nothing was enqueued.
        """
        check_writable()
        with storage_errors():
            if job.order is not None and on_postgres():
                # The lock keeps a predecessor from finishing during the insert; otherwise the job would stay blocked.
                async with in_transaction(CONNECTION):
                    await lock_order_keys([job])
                    number = await _insert(job)
            elif job.kind is JobKind.WEBHOOK and job.dedupe is not None:
                async with in_transaction(CONNECTION):
                    number = await _insert(job)
            else:
                number = await _insert(job)
            if number is not None:
                await notify_workers()
            return number


async def insert_jobs(jobs: Sequence[NewJob]) -> None:
    """Enqueue jobs within the current transaction; jobs whose dedupe key exists already are skipped.

    Workers are not woken up: call :func:`notify_workers` in the same transaction.

    Raises:
        StorageUnavailable: The database did not answer, or a job violates a constraint; in the latter case its cause
            is an IntegrityError. Roll the transaction back, because some of the jobs may be enqueued.
    """
    await lock_order_keys(jobs)
    ordered = [job for job in jobs if job.order is not None]
    if ordered:
        await execute_many(INSERT, [_insert_values(job) for job in ordered])
    rest = [job for job in jobs if job.order is None]
    while rest:
        # Batch sizes are powers of two, to prepare few different statements.
        size = min(MAX_ROWS_PER_STATEMENT, 1 << (len(rest).bit_length() - 1))
        batch, rest = rest[:size], rest[size:]
        values = [value for job in batch for value in _unordered_values(job)]
        await execute(f"{INSERT_INTO} VALUES {', '.join([UNORDERED_ROW] * size)} ON CONFLICT DO NOTHING", values)
    await delete_repeated(jobs, [_tenant_id(job) for job in jobs])


async def lock_order_keys(jobs: Sequence[NewJob]) -> None:
    """Take an advisory lock on each order key of these jobs until the transaction ends (PostgreSQL only).

    Locks are taken in sorted order, so that two transactions cannot deadlock.
    """
    if on_postgres():
        for key in sorted({f"{_tenant_id(job)}/{job.plugin}/{job.order}" for job in jobs if job.order is not None}):
            await fetch(LOCK_ORDER_KEY, [key])


def notify_local() -> None:
    """Wake up the current add-on's workers in this process."""
    runtime = current_work().runtime
    if runtime is not None:
        runtime.notify()


async def notify_workers() -> None:
    """Wake up the workers of all processes, once the current transaction is committed.

    Those of other processes are woken by the process's :class:`~addonkit.jobs.notifier.WorkNotifier`, outside the
    transaction: NOTIFY takes a lock of the whole server when it commits, so that commits would wait for each other.
    """
    runtime = current_work().runtime
    if on_postgres():
        if runtime is None or runtime.notify_others is None:
            await send_notification()  # a command, which has no notifier
        else:
            after_commit(runtime.notify_others)
    after_commit(notify_local)


async def send_notification() -> None:
    """Wake up the workers of all processes on PostgreSQL.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    await fetch("SELECT pg_notify(?, '')", [WORK_CHANNEL])


async def _insert(job: NewJob) -> int | None:
    rows = await fetch(f"{INSERT} RETURNING id", _insert_values(job))
    if not rows or await delete_repeated([job], [_tenant_id(job)]):
        return None
    return int(rows[0]["id"])


def _insert_values(job: NewJob) -> list[Any]:
    """Bind values for ``INSERT``."""
    tenant_id = _tenant_id(job)
    delay_s = max(0.0, job.due_at - time.time()) if job.due_at else 0.0
    facts = orjson.dumps(dict(job.facts)).decode()
    return [
        *(tenant_id, job.plugin, job.name, str(job.kind), job.payload, job.version, facts, job.dedupe, job.order),
        *(delay_s, *origin_of(job)),
        *(tenant_id, job.plugin, job.order),
        "waiting" if delay_s else "ready",
    ]


def _unordered_values(job: NewJob) -> list[Any]:
    """Bind values for ``UNORDERED_ROW``."""
    delay_s = max(0.0, job.due_at - time.time()) if job.due_at else 0.0
    request_id, traceparent = origin_of(job)
    return [
        *(_tenant_id(job), job.plugin, job.name, job.kind.value, job.payload, job.version),
        *(orjson.dumps(dict(job.facts)).decode(), job.dedupe, delay_s, request_id, traceparent),
        "waiting" if delay_s else "ready",
    ]


def with_origin(job: NewJob) -> NewJob:
    """Return a job with the request and the trace of the running code, to be inserted by another task."""
    if job.traceparent is not None:
        return job
    request_id, traceparent = origin_of(job)
    # Faster than dataclasses.replace, which reads the descriptions of all fields.
    fields = (job.plugin, job.name, job.kind, job.payload, job.version, job.facts, job.dedupe, job.order, job.due_at)
    return NewJob(*fields, job.tenant_id, request_id, traceparent)


def origin_of(job: NewJob) -> tuple[str | None, str | None]:
    """Return the request's id and the ``traceparent`` of a job: its own, or those of the running code."""
    if job.traceparent is not None:
        return job.request_id, job.traceparent
    if (origin := current_work().origin) is not None:
        return origin.request_id, origin.trace.traceparent
    # A plugin may have begun a span where no request and no job runs.
    position = None if (tracer := current_tracer()) is None else tracer.position()
    return job.request_id, None if position is None else position.traceparent


def _tenant_id(job: NewJob) -> int:
    return current_tenant().id if job.tenant_id is None else job.tenant_id
