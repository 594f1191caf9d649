"""Upkeep of the queue: promotes due jobs, and holds jobs of plugins that are off."""

from __future__ import annotations

import time
from collections.abc import Collection

from addonkit.database.sql import execute, fetch, on_postgres, placeholders
from addonkit.jobs.sql import (
    HOLD_DISABLED_PLUGINS,
    NEXT_DUE,
    PROMOTE_DUE,
    RELEASE_ENABLED_PLUGINS,
    SKIP_LOCKED,
)

STEP_ROWS = 1000


async def promote_due() -> float:
    """Make waiting jobs ready once they are due.

    Returns:
        The earliest due time of all waiting jobs before the call, Unix time by this process's clock; infinity if there
        are none.
    """
    [row] = await fetch(NEXT_DUE)
    if row["due_in_s"] is None:
        return float("inf")
    if row["due_in_s"] <= 0:
        await execute(PROMOTE_DUE.format(SKIP_LOCKED if on_postgres() else ""))
    return time.time() + float(row["due_in_s"])


async def hold_disabled_plugins(enabled: Collection[str]) -> None:
    """Hold ready jobs of plugins that are not enabled, and release held jobs of those that are.

    It does so in steps, so that webhooks can be stored between two of them however many jobs there are.
    """
    names = sorted(enabled)
    hold, release = (one.format(placeholders(len(names))) for one in (HOLD_DISABLED_PLUGINS, RELEASE_ENABLED_PLUGINS))
    while await execute(hold, ["its plugin is not enabled", *names]) >= STEP_ROWS:
        pass
    while await execute(release, names) >= STEP_ROWS:
        pass
