"""Wakes up the job workers of other processes by PostgreSQL's NOTIFY, at most once in some milliseconds.

NOTIFY takes a lock of the whole database server when its transaction commits. Within the transactions that enqueue
jobs, it would make them wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from addonkit.current import Runtime
from addonkit.database.sql import on_postgres
from addonkit.errors import AddonkitError
from addonkit.jobs.queue import send_notification
from addonkit.supervised_task import SupervisedTask

INTERVAL_S = 0.05
"""Shortest time between two notifications of one process."""


class WorkNotifier:
    """Sends one notification for all jobs that this process has enqueued since the last one."""

    def __init__(self) -> None:
        self._pending = asyncio.Event()

    def notify(self) -> None:
        """Wake up the workers of other processes soon; the jobs are committed."""
        self._pending.set()

    async def run(self) -> None:
        """Send notifications until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            with suppress(AddonkitError):  # workers poll, so that a lost notification is a delay
                await send_notification()
            await asyncio.sleep(INTERVAL_S)


@asynccontextmanager
async def notifying(runtime: Runtime) -> AsyncIterator[None]:
    """Wake up the workers of other processes when this add-on enqueues jobs, for the block (PostgreSQL only)."""
    if not on_postgres():
        yield
        return
    notifier = WorkNotifier()
    task = SupervisedTask("work notifier", notifier.run)
    runtime.notify_others = notifier.notify
    try:
        yield
    finally:
        runtime.notify_others = None
        await task.cancel()
