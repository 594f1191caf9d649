"""The jobs as an operator sees them: found, counted, shown, begun again and deleted. Following them is in ``watch``.

What is listed leaves payloads out, which may be megabytes each. Changes go in steps, each a transaction of its own, so
that nobody waits for them and an interruption loses no step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.query import Filter, written
from addonkit.jobs.queue import lock_orders
from addonkit.jobs.sql import UNBLOCK, UNFINISHED
from addonkit.jobs.wakeup import notify_all
from addonkit.work import JobKind, JobState, NewJob

STEP_ROWS = 500
RETRIED = (JobState.DEAD, JobState.HELD, JobState.WAITING)
REPLAYED = (*RETRIED, JobState.DONE)
DROPPED = tuple(state for state in JobState if state is not JobState.RUNNING)

COLUMNS = """j.id, j.tenant_id, t.client_key, j.plugin, j.name, j.kind, j.version, j.facts, j.dedupe, j.order_key,
    j.state, j.due_at, j.starts, j.failures, j.deaths, j.worker, j.lease_until, j.error, j.created_at, j.finished_at"""
FROM = "FROM addonkit_job j LEFT JOIN addonkit_tenant t ON t.id = j.tenant_id"
AGAIN = """
UPDATE addonkit_job SET state = 'ready', due_at = ?, failures = 0, deaths = 0, finished_at = NULL
WHERE order_key IS NULL AND state IN ({states}) AND id IN ({ids})
"""
# One of an order waits for those before it, and for one behind it that has begun meanwhile.
AGAIN_IN_ORDER = f"""
UPDATE addonkit_job SET due_at = ?, failures = 0, deaths = 0, finished_at = NULL, state = CASE WHEN EXISTS (
    SELECT 1 FROM addonkit_job o WHERE o.tenant_id = addonkit_job.tenant_id AND o.plugin = addonkit_job.plugin
    AND o.order_key = addonkit_job.order_key AND o.order_key IS NOT NULL AND o.state IN {UNFINISHED}
    AND o.id <> addonkit_job.id AND (o.id < addonkit_job.id OR o.state = 'running')
) THEN 'blocked' ELSE 'ready' END WHERE state IN ({{states}}) AND id = ?
"""  # noqa: S608 - put together from constants
WAIT_BEHIND = f"""
UPDATE addonkit_job SET state = 'blocked' WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND id > ?
AND order_key IS NOT NULL AND state IN {UNFINISHED} AND state IN ('waiting', 'ready', 'held')
"""  # noqa: S608 - as above
DROP = "DELETE FROM addonkit_job WHERE state <> 'running' AND state IN ({states}) AND id IN ({ids})"

Progress = Callable[[int], None]
"""Told how many jobs have been looked at so far."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One job. Times are Unix time in seconds; the rest is as in the table.

    Attributes:
        client_key: Of its site; None where the deployment itself is meant, or the site was purged.
        facts: What else is known of it.
    """

    id: int
    tenant_id: int
    client_key: str | None
    plugin: str
    name: str
    kind: str
    version: int
    facts: dict[str, Any]
    dedupe: str | None
    order_key: str | None
    state: str
    due_at: float
    starts: int
    failures: int
    deaths: int
    worker: str | None
    lease_until: float | None
    error: str | None
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many jobs there are of one kind in one state."""

    plugin: str
    name: str
    state: str
    jobs: int


async def listed(which: Filter, limit: int, *, oldest_first: bool = False) -> list[Entry]:
    """Give jobs without their payloads, the newest first unless said otherwise."""
    where, values = which.where()
    order = "ASC" if oldest_first else "DESC"
    return await entries(f"SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY j.id {order} LIMIT ?", [*values, limit])


async def entries(statement: str, values: Sequence[Any]) -> list[Entry]:
    """Give the jobs of a statement that selects ``COLUMNS``."""
    with storage_errors():
        rows = await fetch(statement, values)
    return [Entry(**{**dict(row), "facts": orjson.loads(row["facts"])}) for row in rows]


async def one(number: int) -> tuple[Entry, bytes]:
    """Give one job and its payload.

    Raises:
        AddonkitError: There is none of that number.
    """
    found = await listed(Filter(ids=(number,)), 1)
    with storage_errors():
        rows = await fetch("SELECT payload FROM addonkit_job WHERE id = ?", [number]) if found else []
    if not rows:
        raise _missing([number])
    return found[0], bytes(rows[0]["payload"])


async def counts(which: Filter) -> list[Count]:
    """Give how many jobs there are, by plugin, name and state."""
    where, values = which.where()
    said = f"SELECT j.plugin, j.name, j.state, count(*) AS jobs FROM addonkit_job j WHERE {where}"  # noqa: S608 - constants
    with storage_errors():
        rows = await fetch(f"{said} GROUP BY j.plugin, j.name, j.state ORDER BY 1, 2, 3", values)
    return [Count(row["plugin"], row["name"], row["state"], row["jobs"]) for row in rows]


async def unfinished() -> dict[str, int]:
    """Give how many jobs are not finished, by plugin."""
    with storage_errors():
        rows = await fetch(
            f"SELECT plugin, count(*) AS jobs FROM addonkit_job WHERE state IN {UNFINISHED} GROUP BY plugin"  # noqa: S608 - constants
        )
    return {row["plugin"]: row["jobs"] for row in rows}


async def newest() -> int:
    """Give the largest number of a job; 0 if there is none."""
    with storage_errors():
        [row] = await fetch("SELECT max(id) AS id FROM addonkit_job")
    return row["id"] or 0


async def refuse_others(ids: Sequence[int], states: Sequence[JobState], what: str) -> None:
    """Refuse numbers of jobs that are not there, or stand elsewhere than they must.

    Raises:
        AddonkitError: Naming the first of them.
    """
    found = {job.id: job for job in await listed(Filter(ids=tuple(ids)), len(ids))}
    if gone := [number for number in ids if number not in found]:
        raise _missing(gone)
    for job in found.values():
        if job.state not in states:
            allowed = ", ".join(states[:-1]) + f" or {states[-1]}"
            raise AddonkitError(f"job {job.id} is {job.state}, and only one that is {allowed} can be {what}")


async def retry(which: Filter, on_progress: Progress = lambda _: None) -> int:
    """Let jobs that are dead, held or waiting begin at once, as if they had never failed; give how many.

    Their error is kept until they succeed. One of an order begins when those before it are done.
    """
    return await _in_steps(which, RETRIED, _again, on_progress)


async def replay(which: Filter, on_progress: Progress = lambda _: None) -> int:
    """Let webhooks be handled again, also those that were; give how many."""
    return await _in_steps(replace(which, kind=JobKind.WEBHOOK), REPLAYED, _again, on_progress)


async def drop(which: Filter, on_progress: Progress = lambda _: None) -> int:
    """Delete jobs, but none that runs; give how many."""
    return await _in_steps(which, DROPPED, _dropped, on_progress)


Step = Callable[[Sequence[Entry], Sequence[JobState]], Awaitable[int]]


async def _in_steps(which: Filter, states: Sequence[JobState], step: Step, on_progress: Progress) -> int:
    """Do something to the jobs that are there now and stand where they must."""
    allowed = tuple(state for state in states if state in which.states or not which.states)
    most = await newest() if which.up_to is None else which.up_to
    which = replace(which, states=allowed, up_to=most)
    done = seen = 0
    while allowed and (jobs := await listed(which, STEP_ROWS, oldest_first=True)):
        began = time.monotonic()
        with storage_errors():
            async with in_transaction(CONNECTION):
                await lock_orders([_of_order(job) for job in jobs if job.order_key is not None])
                done += await step(jobs, allowed)
                await notify_all()
        seen += len(jobs)
        on_progress(seen)
        which = replace(which, above=jobs[-1].id)
        if not on_postgres():
            # As long as it took: whoever waits for the one lock of SQLite finds no gap between two steps.
            await asyncio.sleep(time.monotonic() - began)
    return done


async def _again(jobs: Sequence[Entry], states: Sequence[JobState]) -> int:
    now, allowed = time.time(), written(states)
    free = [job.id for job in jobs if job.order_key is None]
    done = await execute(AGAIN.format(states=allowed, ids=placeholders(len(free))), [now, *free]) if free else 0
    for job in jobs:
        if job.order_key is not None and await execute(AGAIN_IN_ORDER.format(states=allowed), [now, job.id]):
            await execute(WAIT_BEHIND, [job.tenant_id, job.plugin, job.order_key, job.id])
            done += 1
    return done


async def _dropped(jobs: Sequence[Entry], states: Sequence[JobState]) -> int:
    ids = [job.id for job in jobs]
    done = await execute(DROP.format(states=written(states), ids=placeholders(len(ids))), ids)
    for site, plugin, order in sorted({(job.tenant_id, job.plugin, job.order_key) for job in jobs if job.order_key}):
        await execute(UNBLOCK, [time.time(), site, plugin, order])
    return done


def _of_order(job: Entry) -> NewJob:
    return NewJob(job.plugin, job.name, JobKind(job.kind), order=job.order_key, tenant_id=job.tenant_id)


def _missing(numbers: Sequence[int]) -> AddonkitError:
    return AddonkitError(f"no job has the number {numbers[0]}; look at 'addonkit jobs list'")
