"""What this process needs to do its work, each told in a word that gives nothing away."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tortoise.connection import get_connection

from addonkit.app.deployment import Deployment
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.pending import APPLIED, Steps, present_in
from addonkit.edge.readiness import OK, ReadinessCheck


def checks_of(deployment: Deployment, is_working: Callable[[], bool]) -> dict[str, ReadinessCheck]:
    """What ``/readyz`` looks at.

    A database that has more migrations than the code is no reason to refuse work: while a newer release takes over,
    the older one serves on.

    Args:
        deployment: Whose migrations must be there.
        is_working: Whether what is to be done in the background is being done.
    """

    @cache
    def present() -> Steps:
        return present_in(deployment.packages())

    async def database() -> str:
        await applied_now()
        return OK

    async def migrations() -> str:
        return "pending" if present() - await applied_now() else OK

    async def engine() -> str:
        return OK if is_working() else "stopped"

    return {"database": database, "migrations": migrations, "engine": engine}


async def applied_now() -> Steps:
    """The migrations that the open database has, by one small query.

    Raises:
        StorageUnavailable: It did not answer.
    """
    with storage_errors():
        rows = await get_connection(CONNECTION).execute_query_dict(APPLIED)
    return {(row["app"], row["name"]) for row in rows}
