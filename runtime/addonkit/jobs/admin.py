"""Retries, replays and deletes jobs for operators.

Changes are made in steps, each in a separate transaction, so that workers do not wait long for a lock and an
interruption keeps the completed steps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, on_postgres, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.done import restore_done
from addonkit.jobs.job_filter import JobFilter, state_list
from addonkit.jobs.query import JobRecord, job_missing, list_jobs, newest_id
from addonkit.jobs.queue import lock_order_keys, notify_workers
from addonkit.jobs.sql import UNBLOCK_NEXT, UNFINISHED, unblock_values
from addonkit.work import JobKind, JobState, NewJob

STEP_ROWS = 500
RETRYABLE = (JobState.DEAD, JobState.HELD, JobState.WAITING)
REPLAYABLE = (*RETRYABLE, JobState.DONE)
DELETABLE = tuple(state for state in JobState if state is not JobState.RUNNING)

RETRY = """
UPDATE addonkit_job SET state = 'ready', due_at = UNIX_TIME(), failures = 0, deaths = 0, finished_at = NULL
WHERE order_key IS NULL AND state IN ({states}) AND id IN ({ids})
"""
# A job with an order key waits for earlier ones, and for a later one that is already running.
RETRY_IN_ORDER = f"""
UPDATE addonkit_job SET due_at = UNIX_TIME(), failures = 0, deaths = 0, finished_at = NULL, state = CASE WHEN EXISTS (
    SELECT 1 FROM addonkit_job o WHERE o.tenant_id = addonkit_job.tenant_id AND o.plugin = addonkit_job.plugin
    AND o.order_key = addonkit_job.order_key AND o.order_key IS NOT NULL AND o.state IN {UNFINISHED}
    AND o.id <> addonkit_job.id AND (o.id < addonkit_job.id OR o.state = 'running')
) THEN 'blocked' ELSE 'ready' END WHERE state IN ({{states}}) AND id = ?
"""  # noqa: S608 - put together from constants
BLOCK_LATER = f"""
UPDATE addonkit_job SET state = 'blocked' WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND id > ?
AND order_key IS NOT NULL AND state IN {UNFINISHED} AND state IN ('waiting', 'ready', 'held')
"""  # noqa: S608 - as above
DELETE_MOVED = "DELETE FROM addonkit_done_job WHERE id IN ({ids})"
DELETE = "DELETE FROM addonkit_job WHERE state <> 'running' AND state IN ({states}) AND id IN ({ids})"

OnProgress = Callable[[int], None]
"""Receives the number of jobs processed so far."""
Step = Callable[[Sequence[JobRecord], Sequence[JobState]], Awaitable[int]]


async def require_states(ids: Sequence[int], states: Sequence[JobState], verb: str) -> None:
    """Check that jobs exist and are in one of these states.

    Args:
        ids: Their ids.
        states: The allowed states.
        verb: The change as a past participle, for the message.

    Raises:
        AddonkitError: A job does not exist or is in another state; the message names the first.
    """
    found = {job.id: job for job in await list_jobs(JobFilter(ids=tuple(ids)), len(ids))}
    if missing := [job_id for job_id in ids if job_id not in found]:
        raise job_missing(missing[0])
    for job in found.values():
        if job.state not in states:
            allowed = ", ".join(states[:-1]) + f" or {states[-1]}"
            raise AddonkitError(f"job {job.id} is {job.state}; only jobs that are {allowed} can be {verb}")


async def retry(which: JobFilter, on_progress: OnProgress = lambda _: None) -> int:
    """Make dead, held and waiting jobs ready, with their failures reset.

    A job keeps its error until it succeeds. A job with an order key waits for earlier ones.

    Returns:
        The number of jobs changed.
    """
    return await _in_steps(which, RETRYABLE, _retry, on_progress)


async def replay(which: JobFilter, on_progress: OnProgress = lambda _: None) -> int:
    """Make webhooks ready again, including those that are done.

    Returns:
        The number of webhooks changed.
    """
    with_payload = replace(which, kind=JobKind.WEBHOOK, has_payload=True)
    return await _in_steps(with_payload, REPLAYABLE, _replay, on_progress)


async def drop(which: JobFilter, on_progress: OnProgress = lambda _: None) -> int:
    """Delete jobs, except running ones.

    Returns:
        The number of jobs deleted.
    """
    return await _in_steps(which, DELETABLE, _delete, on_progress)


async def _in_steps(which: JobFilter, states: Sequence[JobState], step: Step, on_progress: OnProgress) -> int:
    """Change the selected jobs that are in one of these states, in steps; jobs enqueued later are not changed."""
    allowed = tuple(state for state in states if state in which.states or not which.states)
    up_to = await newest_id() if which.up_to is None else which.up_to
    which = replace(which, states=allowed, up_to=up_to)
    changed = processed = 0
    while allowed and (jobs := await list_jobs(which, STEP_ROWS, oldest_first=True)):
        began = time.monotonic()
        with storage_errors():
            async with in_transaction(CONNECTION):
                await lock_order_keys([_as_new_job(job) for job in jobs if job.order_key is not None])
                changed += await step(jobs, allowed)
            await notify_workers()
        processed += len(jobs)
        on_progress(processed)
        which = replace(which, above=jobs[-1].id)
        if not on_postgres():
            # Pause for as long as the step took: otherwise other writers would not get SQLite's only write lock.
            await asyncio.sleep(time.monotonic() - began)
    return changed


async def _replay(jobs: Sequence[JobRecord], states: Sequence[JobState]) -> int:
    await restore_done([job.id for job in jobs if job.state == JobState.DONE])
    return await _retry(jobs, states)


async def _retry(jobs: Sequence[JobRecord], states: Sequence[JobState]) -> int:
    allowed = state_list(states)
    ids = [job.id for job in jobs if job.order_key is None]
    changed = await execute(RETRY.format(states=allowed, ids=placeholders(len(ids))), ids) if ids else 0
    for job in jobs:
        if job.order_key is not None and await execute(RETRY_IN_ORDER.format(states=allowed), [job.id]):
            await execute(BLOCK_LATER, [job.tenant_id, job.plugin, job.order_key, job.id])
            changed += 1
    return changed


async def _delete(jobs: Sequence[JobRecord], states: Sequence[JobState]) -> int:
    ids = [job.id for job in jobs]
    changed = await execute(DELETE_MOVED.format(ids=placeholders(len(ids))), ids) if JobState.DONE in states else 0
    changed += await execute(DELETE.format(states=state_list(states), ids=placeholders(len(ids))), ids)
    for order in sorted({(job.tenant_id, job.plugin, job.order_key) for job in jobs if job.order_key}):
        await execute(UNBLOCK_NEXT, unblock_values(*order))
    return changed


def _as_new_job(job: JobRecord) -> NewJob:
    """Return a ``NewJob`` with what ``lock_order_keys`` needs."""
    return NewJob(job.plugin, job.name, JobKind(job.kind), order=job.order_key, tenant_id=job.tenant_id)
