"""What this process needs to do its work, each told in a word that gives nothing away."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from addonkit.app.deployment import Deployment
from addonkit.edge.probes import GOOD, Check
from addonkit.tenancy.applied import Steps
from addonkit.tenancy.pending import present_in
from addonkit.tenancy.readiness import applied_now


def checks_of(deployment: Deployment, is_delivering: Callable[[], bool]) -> dict[str, Check]:
    """What ``/readyz`` looks at.

    A database that has more migrations than the code is no reason to refuse work: while a newer release takes over,
    the older one serves on.

    Args:
        deployment: Whose migrations must be there.
        is_delivering: Whether what plugins are to be told is being told.
    """

    @cache
    def present() -> Steps:
        return present_in(deployment.packages())

    async def database() -> str:
        await applied_now()
        return GOOD

    async def migrations() -> str:
        return "pending" if present() - await applied_now() else GOOD

    async def engine() -> str:
        return GOOD if is_delivering() else "stopped"

    return {"database": database, "migrations": migrations, "engine": engine}
