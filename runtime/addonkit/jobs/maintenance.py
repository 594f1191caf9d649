"""Maintenance of the queue: makes due jobs ready, renews leases, releases lost jobs, and deletes done ones."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres, placeholders
from addonkit.jobs.dispatcher import LEASE_S
from addonkit.jobs.sql import (
    COUNT_SUSPECTS,
    DELETE_DONE,
    EXPIRED_LEASES,
    HOLD_DISABLED_PLUGINS,
    NEXT_DUE,
    PROMOTE_DUE,
    RELEASE_ENABLED_PLUGINS,
    RELEASE_LOST,
    RENEW_LEASES,
    SKIP_LOCKED,
    UNBLOCK_ALL,
)
from addonkit.log import structlog
from addonkit.work import JobState

MAX_DEATHS = 5
"""A job becomes dead when so many processes have died while it ran. After the first, it is a suspect and runs alone."""
STEP_ROWS = 1000

log = structlog.get_logger(__name__)


async def promote_due() -> float:
    """Make waiting jobs ready once they are due.

    Returns:
        The earliest due time of all waiting jobs before the call, Unix time in seconds; infinity if there are none.
    """
    [row] = await fetch(NEXT_DUE)
    due_at = float("inf") if row["due_at"] is None else float(row["due_at"])
    if due_at <= time.time():
        await execute(PROMOTE_DUE.format(SKIP_LOCKED if on_postgres() else ""), [time.time()])
    return due_at


async def has_suspects() -> bool:
    """Whether suspect jobs are ready: jobs that were running when a process died. They run alone, one after another."""
    [row] = await fetch(COUNT_SUSPECTS)
    return bool(row["number"])


async def renew_leases(worker: str, jobs: Sequence[int]) -> None:
    """Extend the leases of the jobs that run in this process.

    Args:
        worker: The worker's name.
        jobs: Their ids.
    """
    if jobs:
        await execute(RENEW_LEASES.format(placeholders(len(jobs))), [time.time() + LEASE_S, worker, *jobs])


async def unblock_all() -> None:
    """Unblock ordered jobs whose predecessor finished while they were being inserted (a race of two transactions)."""
    await execute(UNBLOCK_ALL, [time.time()])


async def release_expired_leases(*, all_leases: bool = False) -> int:
    """Make lost jobs ready again, or dead if ``MAX_DEATHS`` processes have died while they ran.

    Args:
        all_leases: Whether every running job is lost. This is so when the only process that can run jobs has started.

    Returns:
        The number of lost jobs.
    """
    before = time.time() + (10 * LEASE_S if all_leases else 0.0)
    lost = await fetch(EXPIRED_LEASES, [before])
    if not lost:
        return 0
    with storage_errors():
        async with in_transaction(CONNECTION):
            for row in lost:
                deaths = row["deaths"] + 1
                is_dead = deaths >= MAX_DEATHS
                state = JobState.DEAD if is_dead else JobState.READY
                error = f"{deaths} {'process' if deaths == 1 else 'processes'} died while it ran"
                finished_at = time.time() if is_dead else None
                await execute(RELEASE_LOST, [str(state), error, finished_at, row["id"], row["starts"]])
                log.warning(
                    "job.lost", job=row["id"], plugin=row["plugin"], name=row["name"], deaths=deaths, dead=is_dead
                )
    return len(lost)


async def hold_disabled_plugins(enabled: Collection[str]) -> None:
    """Hold ready jobs of plugins that are not enabled, and release held jobs of those that are."""
    names = sorted(enabled)
    await execute(HOLD_DISABLED_PLUGINS.format(placeholders(len(names))), ["its plugin is not enabled", *names])
    await execute(RELEASE_ENABLED_PLUGINS.format(placeholders(len(names))), names)


async def delete_done(hours: float) -> int:
    """Delete done jobs that finished more than this many hours ago; dead jobs are kept.

    Returns:
        The number of deleted jobs.
    """
    deleted = 0
    before = time.time() - hours * 3600
    while step := await execute(DELETE_DONE, [before, STEP_ROWS]):
        deleted += step
        if step < STEP_ROWS and not on_postgres():
            break
    return deleted
