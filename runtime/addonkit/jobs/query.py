"""Reads of the tables of jobs: jobs by a filter, and counts.

Lists do not contain payloads, because each may have megabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addonkit.database.sql import fetch, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.job import read_facts
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.selection import count_selected, queued_plugins, select_ids
from addonkit.work import JobState

STEP_ROWS = 500
COLUMNS = """j.id, j.tenant_id, coalesce(t.key, t.client_key) AS tenant, j.plugin, j.name, j.kind, j.version,
    j.facts, j.dedupe, j.order_key,
    j.state, j.due_at, j.starts, j.failures, j.deaths, j.worker, j.lease_until, j.error, j.created_at, j.finished_at,
    j.request_id, j.traceparent, j.has_payload"""
STORED = """(
    SELECT id, tenant_id, plugin, name, kind, version, facts, dedupe, order_key, state, due_at, starts, failures,
        deaths, worker, lease_until, error, created_at, finished_at, request_id, traceparent,
        1 AS has_payload FROM addonkit_job
    UNION ALL
    SELECT id, tenant_id, plugin, name, kind, version, facts, dedupe, order_key, CAST('done' AS varchar(8)), due_at,
        starts, failures, 0, CAST(NULL AS varchar(64)), CAST(NULL AS double precision), error, created_at, finished_at,
        request_id, traceparent, CASE WHEN payload IS NULL THEN 0 ELSE 1 END FROM addonkit_done_job
)"""
"""All jobs: those of the queue, and those that were moved when they were done."""
FROM = f"FROM {STORED} j LEFT JOIN addonkit_tenant t ON t.id = j.tenant_id"
PAYLOAD = "SELECT payload FROM addonkit_job WHERE id = ? UNION ALL SELECT payload FROM addonkit_done_job WHERE id = ?"
NEWEST_ID = """
SELECT max(id) AS id FROM (
    SELECT max(id) AS id FROM addonkit_job UNION ALL SELECT max(id) FROM addonkit_done_job
) AS newest
"""
# Each part has the condition of a partial index.
COUNT_DUE = """
SELECT (SELECT count(*) FROM addonkit_job WHERE state = 'ready' AND deaths = 0)
    + (SELECT count(*) FROM addonkit_job WHERE state = 'ready' AND deaths > 0)
    + (SELECT count(*) FROM addonkit_job WHERE state = 'running')
    + (SELECT count(*) FROM addonkit_job WHERE state = 'waiting' AND due_at <= ?) AS number
"""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as stored, without its payload. Times are Unix time in seconds.

    Attributes:
        tenant: Key of its tenant; None if the job concerns the deployment, or the tenant was purged.
        facts: Further JSON values, such as a webhook's objects.
    """

    id: int
    tenant_id: int
    tenant: str | None
    plugin: str
    name: str
    kind: str
    version: int
    facts: dict[str, Any]
    dedupe: str | None
    order_key: str | None
    state: str
    due_at: float
    starts: int
    failures: int
    deaths: int
    worker: str | None
    lease_until: float | None
    error: str | None
    created_at: float
    finished_at: float | None
    request_id: str | None = None
    traceparent: str | None = None
    has_payload: bool = True


@dataclass(frozen=True, slots=True)
class JobCount:
    """Number of jobs of one plugin and name in one state."""

    plugin: str
    name: str
    state: str
    jobs: int


async def list_jobs(which: JobFilter, limit: int, *, oldest_first: bool = False) -> list[JobRecord]:
    """List jobs without their payloads, by default the newest first.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    where, values = which.where()
    order = "ASC" if oldest_first else "DESC"
    found: list[JobRecord] = []
    while ids := await select_ids(which, min(limit - len(found), STEP_ROWS), oldest_first=oldest_first):
        # Those that have changed since their ids were read are left out.
        condition = f"{where} AND j.id IN ({placeholders(len(ids))}) ORDER BY j.id {order}"
        found += await select_jobs(condition, [*values, *ids])
        if len(found) == limit:
            break
        which = replace(which, above=ids[-1]) if oldest_first else replace(which, up_to=ids[-1] - 1)
    return found


async def select_jobs(condition: str, values: Sequence[Any]) -> list[JobRecord]:
    """Return the jobs that meet a condition, which may end with ORDER BY and LIMIT.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    rows = await fetch(f"SELECT {COLUMNS} {FROM} WHERE {condition}", values)
    decoded = ({"facts": _facts(row["facts"]), "has_payload": bool(row["has_payload"])} for row in rows)
    return [JobRecord(**row | more) for row, more in zip(rows, decoded, strict=True)]


def _facts(stored: str) -> dict[str, Any]:
    """Return the facts of a job; none if they cannot be read, for which the job is held with the reason."""
    try:
        return read_facts(stored)
    except (TypeError, ValueError):
        return {}


async def get_job(job_id: int) -> tuple[JobRecord, bytes | None]:
    """Return one job and its payload; None in its place if the payload was dropped.

    Raises:
        AddonkitError: No job has this id.
    """
    found = await list_jobs(JobFilter(ids=(job_id,)), 1)
    rows = await fetch(PAYLOAD, [job_id, job_id]) if found else []
    if not rows:
        raise job_missing(job_id)
    payload = rows[0]["payload"]
    return found[0], None if payload is None else bytes(payload)


def payload_missing(job_id: int) -> AddonkitError:
    """Make the error for a done job whose payload was dropped."""
    return AddonkitError(
        f"job {job_id} is done and its payload was dropped; set [jobs] keep_payloads_hours to the hours for "
        "which payloads of done jobs are needed, for those that finish from then on"
    )


def job_missing(job_id: int) -> AddonkitError:
    """Return the error for an id that no job has."""
    return AddonkitError(f"there is no job with id {job_id}; 'addonkit jobs list' shows the stored jobs")


async def count_jobs(which: JobFilter) -> list[JobCount]:
    """Count jobs by plugin, name and state."""
    return [JobCount(*group, jobs) for group, jobs in sorted((await count_selected(which)).items())]


async def count_unfinished(enabled: Collection[str]) -> dict[str, int]:
    """Count the unfinished jobs of each plugin that is not among the enabled ones."""
    states = tuple(state for state in JobState if state not in (JobState.DONE, JobState.DEAD))
    counts: Counter[str] = Counter()
    for plugin in sorted(await queued_plugins() - set(enabled)):
        counts[plugin] = (await count_selected(JobFilter(plugin=plugin, states=states))).total()
    return {plugin: jobs for plugin, jobs in counts.items() if jobs}


async def count_due(moment: float) -> int:
    """Count jobs that are running or ready, or waiting and due at a moment in Unix time.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    [row] = await fetch(COUNT_DUE, [moment])
    return int(row["number"])


async def newest_id() -> int:
    """Return the largest id of a job; 0 if there is none."""
    [row] = await fetch(NEWEST_ID)
    return row["id"] or 0
