"""Following jobs and webhooks as they come and go, by looking again and again.

A look costs little however much is kept: what is new is found by its number, what runs, waits after a failure or
is over by indexes. What a job does between two looks is seen by where it stands at the second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from addonkit.database.sql import placeholders
from addonkit.jobs.admin import COLUMNS, FROM, Entry, entries, listed, newest
from addonkit.jobs.query import Filter
from addonkit.work import JobState

MOST = 1000
"""Rows of one query of a look."""
OVERLAP_S = 5.0
"""How long ago a job may have ended, by the clock of who ran it, and still be news."""
OVERLAP_IDS = 500
"""Numbers are given before rows are committed: one so far behind the newest may still turn up."""
LOOKS = (
    "j.state = 'running' ORDER BY j.tenant_id, j.lease_until",
    "j.state = 'waiting' AND j.failures > 0 ORDER BY j.due_at",
    "j.state = 'held' ORDER BY j.plugin",
)
OVER = ("j.state = 'done' AND j.finished_at >= ?", "j.state = 'dead' AND j.finished_at >= ?")

Standing = tuple[str, int, int]


class Arrivals:
    """What came into the table since the last look.

    Args:
        which: Those that are meant.
        behind: The number behind which it begins.
    """

    def __init__(self, which: Filter, behind: int) -> None:
        self._which = which
        self._first, self._last = behind, behind
        self._seen: set[int] = set()

    async def new(self) -> list[Entry]:
        """Give the next ones, the oldest first, at most ``MOST``; none when all were given."""
        above = max(self._first, self._last - OVERLAP_IDS)
        found = await listed(replace(self._which, above=above), MOST + OVERLAP_IDS, oldest_first=True)
        fresh = [job for job in found if job.id not in self._seen]
        self._seen = {job.id for job in found}
        self._last = max([self._last, *self._seen])
        return fresh


class Watch:
    """What changed since the last look.

    Args:
        which: Those jobs that are meant, by anything but their state.
    """

    def __init__(self, which: Filter) -> None:
        self._where, self._values = which.where()
        self._which = which
        self._arrivals: Arrivals | None = None
        self._known: dict[int, Standing] = {}
        self._looked_at = 0.0

    async def changes(self) -> list[Entry]:
        """Give the jobs that stand elsewhere than at the last look; the first look gives none."""
        is_first = self._arrivals is None
        if self._arrivals is None:
            self._arrivals = Arrivals(self._which, await newest())
        looked_at = time.time()
        found = {job.id: job for job in await self._arrivals.new()}
        for condition in LOOKS:
            found |= await self._look(f"{condition} LIMIT {MOST}", [])
        for condition in OVER:
            since = (looked_at if is_first else self._looked_at) - OVERLAP_S
            found |= await self._look(f"{condition} ORDER BY j.id LIMIT {10 * MOST}", [since])
        if missing := [number for number in self._known if number not in found][-MOST:]:
            found |= await self._look(f"j.id IN ({placeholders(len(missing))}) ORDER BY j.id", missing)
        news = [job for job in found.values() if self._known.get(job.id) != _standing(job)]
        self._looked_at = looked_at
        self._remember(found.values())
        return [] if is_first else sorted(news, key=lambda job: (job.finished_at or looked_at, job.id))

    async def _look(self, condition: str, values: Sequence[Any]) -> dict[int, Entry]:
        statement = f"SELECT {COLUMNS} {FROM} WHERE {self._where} AND {condition}"
        return {job.id: job for job in await entries(statement, [*self._values, *values])}

    def _remember(self, found: Iterable[Entry]) -> None:
        """Keep where the jobs stand that may still change, or may be found once more at the next look."""
        self._known = {
            job.id: _standing(job)
            for job in found
            if job.state not in (JobState.DONE, JobState.DEAD)
            or (job.finished_at or 0.0) >= self._looked_at - 2 * OVERLAP_S
        }


def _standing(job: Entry) -> Standing:
    return job.state, job.starts, job.failures
