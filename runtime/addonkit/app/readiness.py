"""Checks behind ``/readyz``; each returns ``ok`` or a public one-word reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from addonkit.app.deployment import Deployment
from addonkit.database.pending import SELECT_APPLIED, Migrations, code_migrations
from addonkit.database.sql import fetch, is_read_only
from addonkit.edge.readiness import OK, ReadinessCheck

READ_ONLY = "read-only"


def readiness_checks(deployment: Deployment, is_working: Callable[[], bool]) -> dict[str, ReadinessCheck]:
    """Return the readiness checks of an add-on by name.

    The check of migrations accepts a database with more migrations than the code: during an update, the old release
    serves until the new one has replaced it.

    Args:
        deployment: The deployment; migrations of the runtime and of its enabled plugins must be applied.
        is_working: Returns whether background jobs are running, or are not meant to run in this process.
    """

    @cache
    def present() -> Migrations:
        return code_migrations(deployment.used_packages())

    async def database() -> str:
        await _applied()
        return READ_ONLY if await is_read_only() else OK

    async def migrations() -> str:
        return "pending" if present() - await _applied() else OK

    async def engine() -> str:
        return OK if is_working() else "stopped"

    return {"database": database, "migrations": migrations, "engine": engine}


async def _applied() -> Migrations:
    """Read which migrations the open database has, with one small query.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    return {(row["app"], row["name"]) for row in await fetch(SELECT_APPLIED)}
