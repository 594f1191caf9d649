"""What the metrics show of the queue: numbers of jobs, how long the oldest has been due, and schedules that are late.

A read costs a bounded number of index lookups, however many jobs and tenants there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from addonkit.database.sql import database_time, fetch
from addonkit.jobs.counts import JobCounts, read_counts

STEP_TENANTS = 2000
"""Most tenants whose oldest job is looked up by one read; the next read continues after the last of them."""
OLDEST_READY = """
WITH RECURSIVE turn (tenant_id) AS (
    SELECT min(tenant_id) FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id > ?
    UNION ALL
    SELECT (SELECT min(j.tenant_id) FROM addonkit_job j
        WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id > turn.tenant_id)
    FROM turn WHERE turn.tenant_id IS NOT NULL
)
SELECT tenant_id, (
    SELECT id FROM addonkit_job j WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id = step.tenant_id
    ORDER BY due_at, id LIMIT 1
) AS id, (
    SELECT due_at FROM addonkit_job j WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id = step.tenant_id
    ORDER BY due_at, id LIMIT 1
) AS due_at FROM (SELECT tenant_id FROM turn WHERE tenant_id IS NOT NULL LIMIT ?) AS step
"""
STILL_READY = "SELECT due_at FROM addonkit_job WHERE id = ? AND state = 'ready'"
# Jobs that are due and that no worker has made ready, and jobs that a process died with.
OLDEST_OTHERS = """
SELECT (SELECT min(due_at) FROM addonkit_job WHERE state = 'waiting') AS waiting,
    (SELECT min(due_at) FROM addonkit_job WHERE state = 'ready' AND deaths > 0) AS suspects
"""
NEXT_RUNS = "SELECT plugin, name, next_at FROM addonkit_schedule"


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """The state of the queue at one moment.

    Attributes:
        counts: Numbers of jobs by plugin.
        oldest_s: How long the job that has been due for longest has waited, in seconds; 0 if none is due.
        schedule_lag_s: How late each schedule's next run is, in seconds, by plugin and name; 0 while it is not due.
    """

    counts: Mapping[str, JobCounts] = field(default_factory=dict)
    oldest_s: float = 0.0
    schedule_lag_s: Mapping[tuple[str, str], float] = field(default_factory=dict)


class QueueReader:
    """Reads the statistics of the queue.

    With more than ``STEP_TENANTS`` tenants that have ready jobs, the oldest job is found after several reads; until
    then, the oldest of those that were looked up is reported.

    Args:
        plugins: Names of the enabled plugins; they are reported without jobs, too.
        schedules: Returns plugin and name of each schedule of the enabled plugins.
    """

    def __init__(self, plugins: Collection[str], schedules: Callable[[], Collection[tuple[str, str]]]) -> None:
        self._plugins, self._schedules = plugins, schedules
        self._last_tenant = -1
        self._oldest: tuple[float, int] | None = None

    async def read(self) -> QueueStatistics | None:
        """Read the statistics; None until the jobs were counted for the first time.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        counts = await read_counts()
        if counts is None:
            return None
        known = {plugin: counts.get(plugin, JobCounts()) for plugin in self._plugins}
        others = {plugin: one for plugin, one in counts.items() if not one.is_empty()}
        now, schedules = await database_time(), self._schedules()
        lags = {
            (row["plugin"], row["name"]): max(0.0, now - row["next_at"])
            for row in await fetch(NEXT_RUNS)
            if (row["plugin"], row["name"]) in schedules
        }
        return QueueStatistics(others | known, max(0.0, now - await self._oldest_due_at(now)), lags)

    async def _oldest_due_at(self, now: float) -> float:
        if self._oldest is not None and not await fetch(STILL_READY, [self._oldest[1]]):
            self._oldest = None
        rows = await fetch(OLDEST_READY, [self._last_tenant, STEP_TENANTS])
        self._last_tenant = rows[-1]["tenant_id"] if len(rows) == STEP_TENANTS else -1
        found = [(row["due_at"], row["id"]) for row in rows if row["id"] is not None]
        self._oldest = min([*found, *([self._oldest] if self._oldest else [])], default=None)
        [others] = await fetch(OLDEST_OTHERS)
        due: list[Any] = [others["waiting"], others["suspects"], self._oldest[0] if self._oldest else None]
        return min((at for at in due if at is not None), default=now)
