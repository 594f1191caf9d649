"""Reads of the job table: jobs by a filter, and counts.

Lists do not contain payloads, because each may have megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from addonkit.context import Tenant
from addonkit.database.errors import storage_errors
from addonkit.database.sql import fetch, placeholders
from addonkit.errors import AddonkitError
from addonkit.jobs.sql import UNFINISHED
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, JobState

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
COUNT_UNFINISHED = f"SELECT plugin, count(*) AS jobs FROM addonkit_job WHERE state IN {UNFINISHED} GROUP BY plugin"  # noqa: S608 - put together from constants
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
class JobFilter:
    """Selects jobs that meet all given conditions; a condition that has its default value is not checked.

    Attributes:
        ids: The job has one of these ids.
        plugin: The job is for this plugin.
        name: The job's handler has this name.
        names: The job has one of these pairs of plugin and handler's name; an empty tuple selects no job.
        kind: What enqueued the job.
        states: The job is in one of these states.
        tenant_id: Number of the tenant; 0 is the deployment itself.
        since: Earliest time of enqueueing, Unix time in seconds.
        error: Text that the error contains, ignoring case.
        above: The job's id is greater than this.
        has_payload: Whether the payload is still stored.
        up_to: The job's id is at most this.
    """

    ids: tuple[int, ...] = ()
    plugin: str | None = None
    name: str | None = None
    names: tuple[tuple[str, str], ...] | None = None
    kind: JobKind | None = None
    states: tuple[JobState, ...] = ()
    tenant_id: int | None = None
    since: float | None = None
    error: str | None = None
    above: int | None = None
    up_to: int | None = None
    has_payload: bool | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return an SQL condition on the table alias ``j``, and its bind values; states are literals in it."""
        parts, values = ["1 = 1"], list[Any]()
        for condition, value in (
            ("j.plugin = ?", self.plugin),
            ("j.name = ?", self.name),
            ("j.kind = ?", None if self.kind is None else str(self.kind)),
            ("j.tenant_id = ?", self.tenant_id),
            ("j.created_at >= ?", self.since),
            ("lower(j.error) LIKE ? ESCAPE '!'", None if self.error is None else _like(self.error)),
            ("j.id > ?", self.above),
            ("j.id <= ?", self.up_to),
            ("j.has_payload = ?", None if self.has_payload is None else int(self.has_payload)),
        ):
            if value is not None:
                parts.append(condition)
                values.append(value)
        if self.ids:
            parts.append(f"j.id IN ({placeholders(len(self.ids))})")
            values += self.ids
        if self.names is not None:
            pairs = " OR ".join(["(j.plugin = ? AND j.name = ?)"] * len(self.names))
            parts.append(f"({pairs or '1 = 0'})")
            values += [word for pair in self.names for word in pair]
        if self.states:
            parts.append(f"j.state IN ({state_list(self.states)})" if len(self.states) > 1 else _equals(self.states[0]))
        return " AND ".join(parts), values


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
    return await select_jobs(f"{where} ORDER BY j.id {order} LIMIT ?", [*values, limit])


async def select_jobs(condition: str, values: Sequence[Any]) -> list[JobRecord]:
    """Return the jobs that meet a condition, which may end with ORDER BY and LIMIT.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    rows = await fetch(f"SELECT {COLUMNS} {FROM} WHERE {condition}", values)
    decoded = ({"facts": orjson.loads(row["facts"]), "has_payload": bool(row["has_payload"])} for row in rows)
    return [JobRecord(**row | more) for row, more in zip(rows, decoded, strict=True)]


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
    where, values = which.where()
    query = f"SELECT j.plugin, j.name, j.state, count(*) AS jobs FROM {STORED} j WHERE {where}"  # noqa: S608 - constants
    rows = await fetch(f"{query} GROUP BY j.plugin, j.name, j.state ORDER BY 1, 2, 3", values)
    return [JobCount(row["plugin"], row["name"], row["state"], row["jobs"]) for row in rows]


async def count_unfinished() -> dict[str, int]:
    """Count unfinished jobs by plugin."""
    return {row["plugin"]: row["jobs"] for row in await fetch(COUNT_UNFINISHED)}


async def count_due(moment: float) -> int:
    """Count jobs that are running or ready, or waiting and due at a moment in Unix time.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    [row] = await fetch(COUNT_DUE, [moment])
    return int(row["number"])


async def tenants_of(numbers: Iterable[int]) -> dict[int, Tenant]:
    """Give the tenants with these numbers, by number; those that were purged, and 0, are left out.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    wanted = sorted(set(numbers) - {0})
    if not wanted:
        return {}
    with storage_errors():
        return {row.id: row.as_tenant() for row in await TenantRow.filter(id__in=wanted)}


async def newest_id() -> int:
    """Return the largest id of a job; 0 if there is none."""
    [row] = await fetch(NEWEST_ID)
    return row["id"] or 0


def state_list(states: Sequence[JobState]) -> str:
    """Return states as SQL literals, separated by commas."""
    return ", ".join(f"'{state}'" for state in states)


def _equals(state: JobState) -> str:
    return f"j.state = '{state}'"


def _like(text: str) -> str:
    """Return a LIKE pattern for values that contain a text, with ``!`` as the escape character."""
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text.lower()}%"
