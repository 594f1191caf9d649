"""Sites that come and go in a store, for tests of what becomes of their data."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count

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


def use() -> TokenUse:
    """A token that was never used."""
    now = int(time.time())
    return TokenUse.of(f"head.{next(_numbers)}.signature", issued_at=now, expires_at=now + 180)


class Residents:
    """Lets sites install and leave.

    Attributes:
        store: Where they are kept.
        listeners: Plugins that are told.
    """

    def __init__(self, *listeners: str) -> None:
        self.store = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)
        self.listeners = listeners

    async def install(self, key: str, base_url: str = HOME, secret: str = "f" * 40, product: str = "jira") -> Tenant:
        return await self.store.install(Installation(key, product, base_url, secret), use(), self.listeners)

    async def leave(self, key: str, days_ago: float = 0) -> None:
        await self.store.uninstall(key, use(), self.listeners)
        at = datetime.now(UTC) - timedelta(days=days_ago)
        await TenantRow.filter(client_key=key).update(uninstalled_at=at)


async def fill(tenant: Tenant, papers: int = 1) -> None:
    """Give a site rows that refer to each other in every way."""
    with tenant_scope(tenant):
        top = await Folder.create()
        below = await Folder.create(parent=await Folder.create(parent=top))
        for _ in range(papers):
            paper = await Paper.create(folder=below)
            paper.newest = await Version.create(paper=paper)
            await paper.save()
