"""Unblocks ordered jobs whose predecessor finished while they were being inserted (a race of two transactions).

It looks through blocked jobs in small steps, apart from the loop that leases jobs, so that an ordered backlog slows
nothing else. Each round looks at the newest blocked jobs, among which the race leaves its rows, and at the next ones
in the order of their ids. On PostgreSQL an advisory lock lets one process at a time do so.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres
from addonkit.errors import AddonkitError
from addonkit.jobs.sql import BLOCKED, LOCK_UNBLOCKING, UNBLOCK_NEXT, unblock_values

ROUND_S = 5.0
STEP_ROWS = 500
IDLE_SHARE = 9
"""How many times as long as a step took the pause after it lasts at least."""


class Unblocker:
    """Unblocks, in rounds, blocked jobs that are the first of their order key."""

    def __init__(self) -> None:
        self._reached = 0

    async def run(self) -> None:
        """Unblock jobs until cancelled; the database may be unavailable meanwhile."""
        while True:
            began = time.monotonic()
            try:
                is_complete = await self.step()
            except AddonkitError:
                is_complete = True  # the loop that leases jobs logs an unavailable database
            took_s = time.monotonic() - began
            await asyncio.sleep(max(ROUND_S if is_complete else ROUND_S / 5, IDLE_SHARE * took_s))

    async def step(self) -> bool:
        """Look at the newest blocked jobs and at the next ones, and unblock what may run.

        Returns:
            Whether the last of the blocked jobs was reached.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        with storage_errors():
            if not on_postgres():
                return await self._unblock()  # without a transaction, which would take SQLite's one write lock
            async with in_transaction(CONNECTION):
                [row] = await fetch(LOCK_UNBLOCKING)
                return await self._unblock() if row["is_locked"] else True

    async def _unblock(self) -> bool:
        following = await fetch(BLOCKED.format("ASC"), [self._reached, STEP_ROWS])
        is_complete = len(following) < STEP_ROWS
        newest: list[dict[str, Any]] = []
        if not is_complete or self._reached:
            newest = await fetch(BLOCKED.format("DESC"), [0, STEP_ROWS])
        for row in {row["id"]: row for row in [*following, *newest]}.values():
            if row["is_first"]:
                await execute(UNBLOCK_NEXT, unblock_values(row["tenant_id"], row["plugin"], row["order_key"]))
        self._reached = 0 if is_complete else max(row["id"] for row in following)
        return is_complete
