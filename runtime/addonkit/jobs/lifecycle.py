"""Lifecycle jobs: one for each plugin that listens to a lifecycle event, stored in the transaction of the event.

``app`` passes these functions to the tenant store and to the adoption, which call them inside their transactions. After
a crash, the database therefore contains both the change of the tenant and its jobs, or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from addonkit.context import Tenant
from addonkit.database.sql import execute, fetch
from addonkit.jobs.queue import insert_jobs
from addonkit.jobs.sql import UNFINISHED
from addonkit.work import JobKind, NewJob

ORDER_KEY = "lifecycle"
"""Order key of all lifecycle jobs: a plugin handles the events of one tenant one after another."""
HOOK_PREFIX = "addon_"

RELEASE_TENANT = "UPDATE addonkit_job SET state = 'ready' WHERE tenant_id = ? AND state = 'held'"
UNFINISHED_EVENTS = f"""
SELECT plugin, name FROM addonkit_job WHERE tenant_id = ? AND kind = 'lifecycle' AND state IN {UNFINISHED} ORDER BY id
"""  # noqa: S608 - put together from constants
DELETE_EVENTS = "DELETE FROM addonkit_job WHERE tenant_id = ? AND kind = 'lifecycle'"
DELETE_DONE_EVENTS = "DELETE FROM addonkit_done_job WHERE tenant_id = ? AND kind = 'lifecycle'"
MOVE = "UPDATE addonkit_job SET tenant_id = ?, dedupe = NULL WHERE tenant_id = ?"
MOVE_DONE = "UPDATE addonkit_done_job SET tenant_id = ?, dedupe = NULL WHERE tenant_id = ?"


async def enqueue_lifecycle_jobs(tenant: Tenant, event: str, listeners: Iterable[str], *, first: bool = False) -> None:
    """Enqueue one job for each listener, in the current transaction; release the held jobs of an active tenant.

    Args:
        tenant: The tenant in its state after the event.
        event: ``installed``, ``enabled``, ``disabled`` or ``uninstalled``.
        listeners: Names of the plugins with a handler for it.
        first: Whether this is the tenant's first install.

    Raises:
        StorageUnavailable: The database did not answer; roll the transaction back.
    """
    await insert_jobs([_lifecycle_job(tenant, event, plugin, first) for plugin in listeners])
    if tenant.is_active():
        await execute(RELEASE_TENANT, [tenant.id])


async def move_jobs(source: Tenant, target: Tenant, listeners: Sequence[str]) -> None:
    """Move the jobs of one tenant to another, in the current transaction.

    Lifecycle jobs are deleted, and unfinished ones are enqueued again for the target, after its own jobs and after an
    ``installed`` for each listener. Other jobs keep their state.

    Args:
        source: The tenant that is given up.
        target: The tenant that gets the jobs, in its state after the adoption.
        listeners: Names of the enabled plugins with a handler for ``installed``.

    Raises:
        StorageUnavailable: The database did not answer; roll the transaction back.
    """
    unfinished = await fetch(UNFINISHED_EVENTS, [source.id])
    await execute(DELETE_EVENTS, [source.id])
    await execute(DELETE_DONE_EVENTS, [source.id])
    for statement in (MOVE, MOVE_DONE):
        await execute(statement, [target.id, source.id])
    await enqueue_lifecycle_jobs(target, "installed", listeners)
    for row in unfinished:
        event = row["name"].removeprefix(HOOK_PREFIX)
        if event != "installed" or row["plugin"] not in listeners:
            await enqueue_lifecycle_jobs(target, event, [row["plugin"]])


def _lifecycle_job(tenant: Tenant, event: str, plugin: str, first: bool) -> NewJob:
    return NewJob(
        plugin,
        f"{HOOK_PREFIX}{event}",
        JobKind.LIFECYCLE,
        facts={"first": first},
        order=ORDER_KEY,
        tenant_id=tenant.id,
    )
