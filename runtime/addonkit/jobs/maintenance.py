"""What keeps the queue going beside the rounds: what is due becomes ready, deaths are noticed, what is done goes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres, placeholders
from addonkit.jobs.dispatcher import LEASE_S
from addonkit.jobs.sql import (
    BEAT,
    BURY,
    FORGET,
    HOLD,
    LOST,
    NEXT_DUE,
    PAST_OTHERS,
    PROMOTE,
    RELEASE,
    SUSPECTS,
    UNBLOCK_ALL,
)
from addonkit.log import structlog
from addonkit.work import JobState

DEATHS = 5
"""How many processes may die with a job before it is dead itself: from the second on it runs alone in its process."""
STEP_ROWS = 1000

log = structlog.get_logger(__name__)


async def promote() -> float:
    """Make ready what has become due; give when the next one will be, Unix time in seconds: now if there were some."""
    with storage_errors():
        [row] = await fetch(NEXT_DUE)
        due_at = float("inf") if row["due_at"] is None else float(row["due_at"])
        if due_at <= time.time():
            await execute(PROMOTE.format(PAST_OTHERS if on_postgres() else ""), [time.time()])
        return due_at


async def has_suspects() -> bool:
    """Whether there are jobs that a process has died with: they run alone, one after another."""
    with storage_errors():
        [row] = await fetch(SUSPECTS)
        return bool(row["number"])


async def beat(worker: str, jobs: Sequence[int]) -> None:
    """Say that a process is there and that these jobs run in it; what it has lost sight of is not among them."""
    if jobs:
        with storage_errors():
            await execute(BEAT.format(placeholders(len(jobs))), [time.time() + LEASE_S, worker, *jobs])


async def unblock() -> None:
    """Let begin whatever waits for nobody any more: who ended may not have seen who came at that moment."""
    with storage_errors():
        await execute(UNBLOCK_ALL, [time.time()])


async def bury_lost(*, all_of_them: bool = False) -> int:
    """Notice the jobs whose process died; give how many there were.

    Args:
        all_of_them: Whether everything that runs is lost, as where this process alone can have begun it.
    """
    before = time.time() + (10 * LEASE_S if all_of_them else 0.0)
    with storage_errors():
        lost = await fetch(LOST, [before])
        if not lost:
            return 0
        async with in_transaction(CONNECTION):
            for row in lost:
                deaths = row["deaths"] + 1
                is_dead = deaths >= DEATHS
                state = JobState.DEAD if is_dead else JobState.READY
                error = f"{deaths} processes died while it ran"
                ended = time.time() if is_dead else None
                await execute(BURY, [str(state), error, ended, row["id"], row["starts"]])
                log.warning(
                    "job.process_died",
                    job=row["id"],
                    plugin=row["plugin"],
                    name=row["name"],
                    deaths=deaths,
                    dead=is_dead,
                )
    return len(lost)


async def settle_plugins(enabled: Collection[str]) -> None:
    """Let the jobs of plugins that are on run, also those that waited while it was off, and hold the others'."""
    names = sorted(enabled)
    with storage_errors():
        await execute(HOLD.format(placeholders(len(names))), ["its plugin is not enabled", *names])
        await execute(RELEASE.format(placeholders(len(names))), names)


async def forget_done(hours: float) -> int:
    """Delete what was done so many hours ago; give how much that was."""
    gone = 0
    before = time.time() - hours * 3600
    with storage_errors():
        while step := await execute(FORGET, [before, STEP_ROWS]):
            gone += step
            if step < STEP_ROWS and not on_postgres():
                break
    return gone
