"""What ``addonkit webhooks recover`` does: each Jira site asked, some at a time."""

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

AT_ONCE = 16


async def recover_all(
    config: Path | None, tenant: str | None, since: float | None, dry_run: bool
) -> list[dict[str, Any]]:
    """Recover what sites could not deliver; give a row for each site that was asked.

    Args:
        config: The configuration.
        tenant: One site alone, by what people call it.
        since: Unix time to look back to; by default as far as done jobs are kept.
        dry_run: Whether to count alone.
    """
    from addonkit.app.host_clients import HostClientPool
    from addonkit.app.recovery import KEPT_S, Recovery
    from addonkit.calling import calling
    from addonkit.calling import opened as door_opened
    from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
    from addonkit.tenancy.directory import Directory
    from addonkit.tenancy.store import TenantStore
    from addonkit.tenancy.vault import Vault

    async with opened(config) as deployment:
        # no further back than it is known what was handled, unless somebody asks for it
        known_s = min(KEPT_S, deployment.settings.jobs.keep_done_hours * 3600)
        from_ = time.time() - known_s if since is None else since
        recovery = Recovery(deployment.registry, deployment.settings.addon.base_url)
        calls = HostClientPool(
            deployment, Directory(TenantStore(Vault(deployment.encryption_keys()), enqueue=enqueue_lifecycle_jobs))
        )
        try:
            with door_opened(calls.host_of), calling("addonkit", in_background=True):
                return await _each(recovery, _sites(tenant), from_, dry_run)
        finally:
            await calls.close()


async def _sites(tenant: str | None) -> AsyncIterator[Tenant]:
    from addonkit.tenancy.admin import active_sites, find_site

    if tenant is not None:
        found = await find_site(tenant)
        if found.product != "jira":
            raise AddonkitError(
                f"'{found.base_url}' is a site of Confluence, which keeps no webhooks; name one of Jira"
            )
        yield found
        return
    async for site in active_sites("jira"):
        yield site


async def _each(recovery: Recovery, sites: AsyncIterator[Tenant], since: float, dry_run: bool) -> list[dict[str, Any]]:
    from addonkit.app.recovery import Recovered

    rows: list[dict[str, Any]] = []
    ended: Exception | None = None
    free = asyncio.Semaphore(AT_ONCE)

    async def ask(site: Tenant) -> None:
        done, error = Recovered(), None
        try:
            await recovery.recover(site, since, done, dry_run=dry_run)
        except (HostError, CallForbidden) as wrong:
            error = str(wrong)
        finally:
            free.release()
        counted = {"found": done.found, "new": done.fresh, "unknown": done.unknown, "error": error}
        rows.append({"tenant": site.id, "site": site.base_url, **counted})

    try:
        async with asyncio.TaskGroup() as asking:
            async for site in sites:
                await free.acquire()
                asking.create_task(ask(site))
    except* AddonkitError as wrong:
        ended = wrong.exceptions[0]
    if ended is not None:
        raise ended
    return sorted(rows, key=lambda row: int(row["tenant"]))
