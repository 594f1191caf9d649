"""Reads the cloud ids of sites from the sites themselves, and links the tenants to them.

Each site is asked once, a few at a time and at a limited rate. Each link is a transaction of its own, and linked
tenants are not asked again, so that the next run continues an interrupted one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from addonkit.context import Tenant, TenantState
from addonkit.errors import AddonkitError, HostError, StorageUnavailable
from addonkit.hostapi.tenant_info import PATH, TenantInfo
from addonkit.protocol.urls import origin
from addonkit.tenancy.cloud_ids import UnlinkedTenant, link_cloud_id, unlinked_tenants

CONCURRENT = 8
"""Maximum number of sites that are asked at the same time."""
START_PAUSE_S = 0.1
"""Pause between the starts of two requests, in seconds."""
BATCH = 200


class Outcome(StrEnum):
    """What became of a tenant."""

    LINKED = "linked"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It is uninstalled, gone or being purged: its site has removed the add-on, and the URL may have a new owner."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """The result for one tenant.

    Attributes:
        tenant: The tenant.
        outcome: What became of it.
        cloud_id: The cloud id that its site stated; None if the site was not asked or did not state one.
        reason: Why it failed or was skipped; empty if it was linked.
    """

    tenant: Tenant
    outcome: Outcome
    cloud_id: str | None = None
    reason: str = ""


OnResult = Callable[[Backfilled], None]


class Backfill:
    """Links tenants without a cloud id.

    Args:
        sites: Asks the sites.
        on_result: Called with each result, in order of the tenants' numbers.
        dry_run: Whether to ask the sites and to change nothing.
    """

    def __init__(self, sites: TenantInfo, on_result: OnResult, *, dry_run: bool = False) -> None:
        self._sites, self._on_result, self._dry_run = sites, on_result, dry_run
        # A dry run stores nothing, and so would not notice that two tenants have one cloud id.
        self._planned: dict[tuple[str, str], int] = {}

    async def run(self, *, limit: int | None = None, after: int = 0) -> int | None:
        """Ask the sites, and link their tenants.

        Args:
            limit: Maximum number of sites that are asked.
            after: Only tenants with a greater number.

        Returns:
            The number of the last tenant, if the limit has left out others; else None.

        Raises:
            StorageUnavailable: The database did not answer; the tenants so far are linked.
        """
        asked, last = 0, after
        running: deque[asyncio.Task[Backfilled]] = deque()
        try:
            async for one in _unlinked(after):
                known = _known_result(one)
                if known is None:
                    if asked == limit:
                        break
                    await asyncio.sleep(START_PAUSE_S if asked else 0)
                    asked += 1
                await self._finish(running, CONCURRENT - 1)
                running.append(asyncio.create_task(self._ask(one.tenant, known)))
                last = one.tenant.id
            else:
                last = 0
            await self._finish(running, 0)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return last or None

    async def _ask(self, tenant: Tenant, known: Backfilled | None) -> Backfilled:
        """Ask a site, unless the result is known without that; nothing is stored yet."""
        if known is not None:
            return known
        try:
            return Backfilled(tenant, Outcome.LINKED, await self._sites.fetch(tenant.base_url))
        except HostError as problem:
            return Backfilled(tenant, Outcome.FAILED, None, str(problem))

    async def _finish(self, running: deque[asyncio.Task[Backfilled]], left: int) -> None:
        """Link the tenants of the oldest requests, until no more than ``left`` are running."""
        while len(running) > left:
            self._on_result(await self._link(await running[0]))
            running.popleft()

    async def _link(self, found: Backfilled) -> Backfilled:
        """Link a tenant to the cloud id that its site stated."""
        tenant = found.tenant
        if found.cloud_id is None:
            return found
        try:
            first = self._planned.setdefault((tenant.product, found.cloud_id), tenant.id)
            if self._dry_run and first != tenant.id:
                raise AddonkitError(f"the cloud id '{found.cloud_id}' is that of tenant {first} as well")
            source = f"as '{origin(tenant.base_url)}{PATH}' states"
            await link_cloud_id(tenant.id, found.cloud_id, source, base_url=tenant.base_url, dry_run=self._dry_run)
        except StorageUnavailable:
            raise
        except AddonkitError as problem:
            return Backfilled(tenant, Outcome.FAILED, found.cloud_id, str(problem))
        return found


async def _unlinked(after: int) -> AsyncIterator[UnlinkedTenant]:
    """Yield all tenants without a cloud id, reading them in batches."""
    while batch := await unlinked_tenants(after, BATCH):
        for one in batch:
            yield one
        after = batch[-1].tenant.id


def _known_result(one: UnlinkedTenant) -> Backfilled | None:
    """Return the result for a tenant whose site is not asked."""
    tenant = one.tenant
    if one.is_purging or tenant.state in (TenantState.UNINSTALLED, TenantState.GONE):
        return Backfilled(tenant, Outcome.SKIPPED, None, "being purged" if one.is_purging else str(tenant.state))
    if not one.same_site:
        return None
    numbers = ", ".join(map(str, one.same_site))
    newest = max(tenant.id, *one.same_site)
    oldest = min(tenant.id, *one.same_site)
    reason = (
        f"it has the same base URL as tenant {numbers}, so that it is unknown which is the site; if they are one site, "
        f"run 'addonkit tenants adopt {newest} --from {oldest}', else 'addonkit tenants link' for the right one"
    )
    return Backfilled(tenant, Outcome.FAILED, None, reason)
