"""Follows jobs and webhooks by polling the job table.

The cost of a poll does not depend on the number of stored jobs: new jobs are found by id, and running, retried and
finished ones by indexes. If a job changes several times between two polls, only its last state is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from addonkit.database.sql import database_time, placeholders
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.query import JobRecord, list_jobs, newest_id, select_jobs
from addonkit.work import JobState

MAX_ROWS = 1000
"""Maximum number of rows of one query."""
OVERLAP_S = 5.0
"""How long ago a job may have finished and still be reported: its transaction may commit later."""
OVERLAP_IDS = 500
"""Ids are assigned before their rows are committed: a row may appear this many ids behind the newest."""
UNFINISHED_CONDITIONS = (
    "j.state = 'running' ORDER BY j.tenant_id, j.lease_until",
    "j.state = 'waiting' AND j.failures > 0 ORDER BY j.due_at",
    "j.state = 'held' ORDER BY j.plugin",
)
FINISHED_CONDITIONS = ("j.state = 'done' AND j.finished_at >= ?", "j.state = 'dead' AND j.finished_at >= ?")

Progress = tuple[str, int, int]


class NewJobs:
    """Returns jobs that were enqueued since the last call.

    Args:
        which: Selects jobs.
        after_id: The id after which to begin.
    """

    def __init__(self, which: JobFilter, after_id: int) -> None:
        self._which = which
        self._first_id, self._last_id = after_id, after_id
        self._seen: set[int] = set()

    async def fetch(self) -> list[JobRecord]:
        """Return the next new jobs, the oldest first, about ``MAX_ROWS`` at most; an empty list if there are none."""
        above = max(self._first_id, self._last_id - OVERLAP_IDS)
        found = await list_jobs(replace(self._which, above=above), MAX_ROWS + OVERLAP_IDS, oldest_first=True)
        new = [job for job in found if job.id not in self._seen]
        self._seen = {job.id for job in found}
        self._last_id = max([self._last_id, *self._seen])
        return new


class JobTail:
    """Returns jobs whose state, starts or failures changed since the last call.

    Args:
        which: Selects jobs; it must not have a condition on the state.
    """

    def __init__(self, which: JobFilter) -> None:
        self._where, self._values = which.where()
        self._which = which
        self._new_jobs: NewJobs | None = None
        self._known: dict[int, Progress] = {}
        self._polled_at = 0.0

    async def changes(self) -> list[JobRecord]:
        """Return the changed jobs; the first call returns none."""
        is_first = self._new_jobs is None
        if self._new_jobs is None:
            self._new_jobs = NewJobs(self._which, await newest_id())
        polled_at = await database_time()
        found = {job.id: job for job in await self._new_jobs.fetch()}
        for condition in UNFINISHED_CONDITIONS:
            found |= await self._select(f"{condition} LIMIT {MAX_ROWS}", [])
        for condition in FINISHED_CONDITIONS:
            since = (polled_at if is_first else self._polled_at) - OVERLAP_S
            found |= await self._select(f"{condition} ORDER BY j.id LIMIT {10 * MAX_ROWS}", [since])
        if missing := [job_id for job_id in self._known if job_id not in found][-MAX_ROWS:]:
            found |= await self._select(f"j.id IN ({placeholders(len(missing))}) ORDER BY j.id", missing)
        changed = [job for job in found.values() if self._known.get(job.id) != _progress(job)]
        self._polled_at = polled_at
        self._remember(found.values())
        return [] if is_first else sorted(changed, key=lambda job: (job.finished_at or polled_at, job.id))

    async def _select(self, condition: str, values: Sequence[Any]) -> dict[int, JobRecord]:
        jobs = await select_jobs(f"{self._where} AND {condition}", [*self._values, *values])
        return {job.id: job for job in jobs}

    def _remember(self, found: Iterable[JobRecord]) -> None:
        """Keep the progress of jobs that may still change, or that the next poll may find again."""
        self._known = {
            job.id: _progress(job)
            for job in found
            if job.state not in (JobState.DONE, JobState.DEAD)
            or (job.finished_at or 0.0) >= self._polled_at - 2 * OVERLAP_S
        }


def _progress(job: JobRecord) -> Progress:
    return job.state, job.starts, job.failures
