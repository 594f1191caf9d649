"""Recovers webhooks for ``addonkit webhooks recover``: requests failed webhooks from Jira sites concurrently."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addonkit.cli.database import opened
from addonkit.errors import AddonkitError, CallForbidden, HostError

if TYPE_CHECKING:
    from addonkit.app.recovery import Recovery
    from addonkit.context import Tenant

MAX_CONCURRENT_SITES = 16


async def recover_sites(
    config: Path | None, tenant: str | None, since: float | None, dry_run: bool
) -> list[dict[str, Any]]:
    """Fetch the webhooks that Jira sites could not deliver, and enqueue those that are missing.

    Args:
        config: The configuration file.
        tenant: A name of one site, see ``tenancy.names``; None is every active Jira site.
        since: Unix time in seconds. By default the time for which done jobs are kept: an older webhook could be handled
            twice, because its job is deleted.
        dry_run: Whether to count only.

    Returns:
        One row per site: ``tenant_id``, ``site``, ``found``, ``new``, ``unknown`` and ``error``.

    Raises:
        AddonkitError: There is no such site, it is a Confluence site, or the database did not answer.
    """
    from addonkit.app.host_clients import HostClientPool
    from addonkit.app.recovery import HOST_KEEPS_S, Recovery
    from addonkit.current import current_runtime, plugin_scope
    from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
    from addonkit.tenancy.directory import Directory
    from addonkit.tenancy.store import TenantStore
    from addonkit.tenancy.vault import Vault

    async with opened(config) as deployment:
        kept_s = min(HOST_KEEPS_S, deployment.settings.jobs.keep_done_hours * 3600)
        since = time.time() - kept_s if since is None else since
        recovery = Recovery(deployment.registry, deployment.settings.addon.base_urls)
        store = TenantStore(Vault(deployment.encryption_keys()), enqueue=enqueue_lifecycle_jobs)
        clients = HostClientPool(deployment, Directory(store))
        try:
            current_runtime().host_of = clients.host_of
            with plugin_scope("addonkit", background=True):
                return await _recover_each(recovery, _sites(tenant), since, dry_run)
        finally:
            await clients.close()


async def _sites(tenant: str | None) -> AsyncIterator[Tenant]:
    from addonkit.tenancy.admin import active_tenants
    from addonkit.tenancy.names import find_tenant

    if tenant is None:
        async for site in active_tenants("jira"):
            yield site
        return
    site = await find_tenant(tenant)
    if site.product != "jira":
        raise AddonkitError(f"'{site.base_url}' is a Confluence site, which keeps no failed webhooks; name a Jira site")
    yield site


async def _recover_each(
    recovery: Recovery, sites: AsyncIterator[Tenant], since: float, dry_run: bool
) -> list[dict[str, Any]]:
    from addonkit.app.recovery import RecoveryCounts

    rows: list[dict[str, Any]] = []
    failure: Exception | None = None
    slots = asyncio.Semaphore(MAX_CONCURRENT_SITES)

    async def recover(site: Tenant) -> None:
        counts, error = RecoveryCounts(), None
        try:
            await recovery.recover(site, since, counts, dry_run=dry_run)
        except (HostError, CallForbidden) as exc:
            error = str(exc)
        finally:
            slots.release()
        numbers = {"found": counts.found, "new": counts.new, "unknown": counts.unknown}
        rows.append({"tenant_id": site.id, "site": site.base_url, **numbers, "error": error})

    try:
        async with asyncio.TaskGroup() as tasks:
            async for site in sites:
                await slots.acquire()
                tasks.create_task(recover(site))
    except* AddonkitError as group:
        failure = group.exceptions[0]
    if failure is not None:
        raise failure
    return sorted(rows, key=lambda row: int(row["tenant_id"]))
