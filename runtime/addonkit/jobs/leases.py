"""Leases of running jobs: renewed while their process lives, and released once it has died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.dispatcher import LEASE_S
from addonkit.jobs.observed import count_lost
from addonkit.jobs.sql import (
    EXPIRED_LEASES,
    LEASES_OF_WORKER,
    LEAVE_JOBS,
    RELEASE_LOST,
    RENEW_LEASES,
    UNBLOCK_NEXT,
    unblock_values,
)
from addonkit.log import structlog
from addonkit.work import JobState

MAX_DEATHS = 5
"""Number of processes that die with a job before it is dead. After the first, the job is a suspect and runs alone."""
STOPPED_WORKER = "(stopped)"
"""Stands for the worker of a job whose process stopped while its handler did not let itself be ended."""
RENEW_S = LEASE_S / 6

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews the leases of one worker and releases expired ones of all, apart from the loop that leases jobs.

    Args:
        worker: The worker's name.
        running: Gives the ids of the jobs that run in this process.
    """

    def __init__(self, worker: str, running: Callable[[], Sequence[int]]) -> None:
        self._worker, self._running = worker, running

    async def run(self) -> None:
        """Renew and release until cancelled; the database may be unavailable meanwhile."""
        while True:
            try:
                await renew_leases(self._worker, self._running())
                await release_expired_leases()
            except AddonkitError:
                pass  # the loop that leases jobs logs an unavailable database
            await asyncio.sleep(RENEW_S)


async def renew_leases(worker: str, jobs: Sequence[int]) -> None:
    """Extend the leases of the jobs that run in this process.

    Args:
        worker: The worker's name.
        jobs: Their ids.
    """
    if jobs:
        await execute(RENEW_LEASES.format(placeholders(len(jobs))), [LEASE_S, worker, *jobs])


async def release_expired_leases(*, all_leases: bool = False) -> int:
    """Make lost jobs ready again, or dead after MAX_DEATHS processes died with them.

    Args:
        all_leases: Whether every running job is lost; true at the start of the only process that can run jobs.

    Returns:
        The number of lost jobs.
    """
    return await _release(await fetch(EXPIRED_LEASES, [10 * LEASE_S if all_leases else 0.0]))


async def release_worker(worker: str, *, died: bool) -> int:
    """Release the jobs of a worker that has ended.

    Args:
        worker: Its name.
        died: Whether it died with them, so that they count a death.

    Returns:
        The number of released jobs.
    """
    return await _release(await fetch(LEASES_OF_WORKER, [worker]), died=died)


async def leave_jobs(worker: str, jobs: Sequence[int]) -> None:
    """Leave jobs that cannot be ended to other processes; this one ends before the lease does.

    Args:
        worker: This process's worker.
        jobs: Their ids.
    """
    values = [STOPPED_WORKER, LEASE_S, worker, *jobs]
    await execute(LEAVE_JOBS.format(placeholders(len(jobs))), values)


async def _release(lost: Sequence[Mapping[str, Any]], *, died: bool = True) -> int:
    released = 0
    if not lost:
        return 0
    # A suspect explains the death of its process; jobs that ran beside it are not to blame.
    blamed = {row["worker"] for row in lost if row["deaths"]}
    with storage_errors():
        async with in_transaction(CONNECTION):
            for row in lost:
                counts = died and row["worker"] != STOPPED_WORKER and (row["deaths"] > 0 or row["worker"] not in blamed)
                deaths = row["deaths"] + counts
                is_dead = deaths >= MAX_DEATHS
                state = JobState.DEAD if is_dead else JobState.READY
                error = f"{deaths} {'process' if deaths == 1 else 'processes'} died while it ran" if deaths else None
                if not await execute(RELEASE_LOST, [str(state), deaths, error, is_dead, row["id"], row["starts"]]):
                    continue  # another process has released it meanwhile
                released += 1
                if not is_dead:
                    count_lost(row["plugin"], died=counts)
                if is_dead and row["order_key"] is not None:
                    await execute(UNBLOCK_NEXT, unblock_values(row["tenant_id"], row["plugin"], row["order_key"]))
                facts = {"plugin": row["plugin"], "name": row["name"], "request_id": row["request_id"]}
                log.warning("job.lost", job=row["id"], job_id=row["id"], deaths=deaths, dead=is_dead, **facts)
    return released
