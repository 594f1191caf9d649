"""A process that kills itself during an install: ``python -m tests.support.killed_install POINT DATABASE``.

POINT is ``before_jobs``, ``after_jobs`` (both inside the transaction) or ``after_commit``; DATABASE is the section
``[database]`` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable

from addonkit.context import Tenant
from addonkit.database.location import Location
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import in_open_transaction

LISTENERS = ("issues", "macros")


async def main(point: str, location: Location) -> None:
    """Install one site and exit with SIGKILL at a point."""

    async def enqueue(tenant: Tenant, event: str, listeners: Iterable[str], *, first: bool = False) -> None:
        assert in_open_transaction()
        if point == "before_jobs":
            die()
        await enqueue_lifecycle_jobs(tenant, event, listeners, first=first)
        if point == "after_jobs":
            die()

    now = int(time.time())
    async with tenant_database(location, {}):
        store = TenantStore(Vault([("k1", b"k" * 32)]), enqueue=enqueue)
        installation = Installation("site-1", "jira", "https://one.atlassian.net", "s" * 40)
        await store.install(
            installation, TokenUse.of("head.body.signature", issued_at=now, expires_at=now + 180), LISTENERS
        )
        die()


def die() -> None:
    """Kill this process, as the kernel does when it runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Location(**json.loads(sys.argv[2]))))
