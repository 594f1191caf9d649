"""Sites that install and uninstall without a host, and rows of a plugin for them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from addonkit.context import Tenant
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.scope import tenant_scope

from tests.support.archive.models import Folder, Paper, Version

VAULT = Vault([("k1", b"k" * 32)])
HOME = "https://one.atlassian.net"
_numbers = count()


def unused_token() -> TokenUse:
    """Return a token that was never used."""
    now = int(time.time())
    return TokenUse.of(f"head.{next(_numbers)}.signature", issued_at=now, expires_at=now + 180)


class InstalledSites:
    """Installs and uninstalls sites in the open database.

    Attributes:
        store: The tenant store.
        listeners: Names of the plugins that get lifecycle events.
    """

    def __init__(self, *listeners: str) -> None:
        self.store = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)
        self.listeners = listeners

    async def install(
        self, key: str, base_url: str = HOME, secret: str = "f" * 40, product: str = "jira", **more: Any
    ) -> Tenant:
        installation = Installation(key, product, base_url, secret, **more)
        return await self.store.install(installation, unused_token(), self.listeners)

    async def uninstall(self, key: str, days_ago: float = 0) -> None:
        await self.store.uninstall(key, unused_token(), self.listeners)
        at = datetime.now(UTC) - timedelta(days=days_ago)
        await TenantRow.filter(client_key=key).update(uninstalled_at=at)


async def create_rows(tenant: Tenant, papers: int = 1) -> None:
    """Create rows of the plugin ``archive`` that refer to each other, also in a circle and to their own table."""
    with tenant_scope(tenant):
        top = await Folder.create()
        below = await Folder.create(parent=await Folder.create(parent=top))
        for _ in range(papers):
            paper = await Paper.create(folder=below)
            paper.newest = await Version.create(paper=paper)
            await paper.save()
