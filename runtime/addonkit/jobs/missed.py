"""Tells plugins that webhooks of a site were refused: enqueues one job for each plugin with ``addon_missed``.

The job is due when no refusal has been recorded for ``QUIET_S``. Refusals that are recorded before it starts, by any
process, are part of the same outage: they delay the job, and the earliest time counts.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice

import orjson
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import execute, fetch, on_postgres
from addonkit.jobs.queue import insert_jobs, notify_workers
from addonkit.log import structlog
from addonkit.timestamps import utc_time
from addonkit.work import JobKind, NewJob

HOOK = "addon_missed"
QUIET_S = 10.0
"""Seconds without a refusal after which an outage has ended."""
BATCH = 100
DEDUPE_KEY = "missed"
_NOT_STARTED = "('waiting', 'ready', 'held')"
# The rows of the tenants are locked, so that two processes that record the same outage wait for each other.
TENANTS = "SELECT id, key, client_key FROM addonkit_tenant WHERE id IN ({}) AND state <> 'uninstalled' ORDER BY id{}"
NOT_STARTED = f"""
SELECT id, tenant_id, plugin, payload FROM addonkit_job
WHERE name = '{HOOK}' AND kind = 'job' AND tenant_id IN ({{}}) AND state IN {_NOT_STARTED}{{}}
"""  # noqa: S608 - put together from constants
DELAY = f"""
UPDATE addonkit_job SET payload = ?, due_at = UNIX_TIME() + ?,
    state = CASE WHEN state = 'held' THEN 'held' ELSE 'waiting' END
WHERE id = ? AND state IN {_NOT_STARTED}
"""  # noqa: S608 - as above

log = structlog.get_logger(__name__)


async def record_missed(refused: Mapping[int, float], plugins: Collection[str]) -> None:
    """Enqueue the jobs for sites whose webhooks were refused, or delay those that wait already.

    Args:
        refused: For each site's number, when the first of its webhooks was refused, Unix time in seconds.
        plugins: The plugins with the hook.

    Raises:
        StorageUnavailable: Not all were recorded; it can be called again with the same sites.
    """
    rest = iter(sorted(refused.items()))
    while batch := dict(islice(rest, BATCH)):
        with storage_errors():
            async with in_transaction(CONNECTION):
                await _record(batch, plugins)
                await notify_workers()


def since_in(payload: Mapping[str, object]) -> datetime | None:
    """Return when the outage began, from the payload of a job."""
    return utc_time(payload.get("since"))


async def _record(refused: Mapping[int, float], plugins: Collection[str]) -> None:
    marks, lock = ", ".join("?" * len(refused)), " FOR UPDATE" if on_postgres() else ""
    tenants = await fetch(TENANTS.format(marks, lock), list(refused))
    waiting = {
        (row["tenant_id"], row["plugin"]): row for row in await fetch(NOT_STARTED.format(marks, lock), list(refused))
    }
    new: list[NewJob] = []
    for tenant in tenants:
        since, known = refused[tenant["id"]], len(new)
        for plugin in plugins:
            row = waiting.get((tenant["id"], plugin))
            if row is None:
                new.append(_job(tenant["id"], plugin, since))
            else:
                earlier = orjson.loads(bytes(row["payload"]))["since"]
                await execute(DELAY, [_payload(min(since, earlier)), QUIET_S, row["id"]])
        if len(new) > known:
            log.warning("webhooks.missed", tenant=tenant["key"] or tenant["client_key"], since=_iso(since))
    await insert_jobs(new)


def _job(tenant_id: int, plugin: str, since: float) -> NewJob:
    due_at = time.time() + QUIET_S
    return NewJob(plugin, HOOK, JobKind.JOB, _payload(since), dedupe=DEDUPE_KEY, due_at=due_at, tenant_id=tenant_id)


def _iso(at: float) -> str | None:
    moment = utc_time(at)
    return moment.isoformat(timespec="seconds") if moment else None


def _payload(since: float) -> bytes:
    return orjson.dumps({"since": since})
