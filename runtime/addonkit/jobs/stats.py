"""How much is to be done, by plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from addonkit.database.errors import storage_errors
from addonkit.database.sql import fetch
from addonkit.jobs.sql import UNFINISHED

OPEN = f"""
SELECT plugin, count(*) AS pending, sum(CASE WHEN failures > 0 THEN 1 ELSE 0 END) AS failing FROM addonkit_job
WHERE state IN {UNFINISHED} GROUP BY plugin
"""  # noqa: S608 - put together from constants
DEAD = "SELECT plugin, count(*) AS dead FROM addonkit_job WHERE state = 'dead' GROUP BY plugin"
DUE = """
SELECT (SELECT count(*) FROM addonkit_job WHERE state IN ('ready', 'running'))
    + (SELECT count(*) FROM addonkit_job WHERE state = 'waiting' AND due_at <= ?) AS number
"""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What one plugin has to do.

    Attributes:
        pending: Jobs that are not finished.
        failing: Those of them that failed before.
        dead: Jobs that failed for good.
    """

    pending: int = 0
    failing: int = 0
    dead: int = 0


async def queue_stats(plugins: tuple[str, ...]) -> Mapping[str, QueueStats]:
    """Give what each of these plugins has to do.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    with storage_errors():
        open_ones = {row["plugin"]: row for row in await fetch(OPEN)}
        dead = {row["plugin"]: row["dead"] for row in await fetch(DEAD)}
    return {
        plugin: QueueStats(
            open_ones[plugin]["pending"] if plugin in open_ones else 0,
            int(open_ones[plugin]["failing"]) if plugin in open_ones else 0,
            dead.get(plugin, 0),
        )
        for plugin in plugins
    }


async def due_now(moment: float) -> int:
    """Give how many jobs run or could, at a moment in Unix time.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    with storage_errors():
        [row] = await fetch(DUE, [moment])
        return int(row["number"])
