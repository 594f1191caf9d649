"""Checks behind ``/readyz``; each returns ``ok`` or a public word for what is wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from addonkit.app.deployment import Deployment
from addonkit.database.pending import Migrations, applied_in_file, applied_on_server, code_migrations
from addonkit.database.sql import is_read_only
from addonkit.database.write_check import DENIED, FULL, INCOMPLETE, READ_ONLY, write_problem
from addonkit.edge.readiness import OK, ReadinessCheck

WRITABLE_S = 15.0
"""How long it counts that the database could be written. What is wrong is looked for again at each check."""
REASONS = {
    READ_ONLY: "the database accepts no writes: the server is a standby or was made read-only, or the SQLite file or "
    "its folder is read-only; make it writable, or name the primary in [database] url",
    FULL: "the database cannot grow: its disk is full, or it has its largest size; free some space, or extend it",
    DENIED: "the role of [database] url may not write the tables of the runtime; run 'addonkit migrate' with the role "
    "of owner_url, which grants that again",
    INCOMPLETE: "the database lacks a table or a column of the runtime; run 'addonkit migrate', or restore a backup",
}
"""What the log says about each word."""


class WriteCheck:
    """Tells whether the database can be written, and checks that rarely: a process may be probed every second.

    Args:
        file: The file of an SQLite database; None on PostgreSQL.
        clock: Monotonic seconds.
    """

    def __init__(self, file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock, self._expires = file, clock, float("-inf")

    async def __call__(self) -> str:
        """Return ``ok``, or a word for why it cannot be written.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        if self._file is None and await is_read_only():
            self._expires = float("-inf")
            return READ_ONLY
        if self._clock() < self._expires:
            return OK
        problem = await write_problem(self._file)
        self._expires = self._clock() + WRITABLE_S if problem is None else float("-inf")
        return problem or OK


def readiness_checks(deployment: Deployment, is_working: Callable[[], bool]) -> dict[str, ReadinessCheck]:
    """Return the readiness checks of an add-on by name.

    The check of migrations accepts a database with more migrations than the code: during an update, the old release
    serves until the new one has replaced it.

    Args:
        deployment: The deployment; migrations of the runtime and of its enabled plugins must be applied.
        is_working: Returns whether background jobs are running, or are not meant to run in this process.
    """
    file = None if deployment.location.is_postgres else deployment.location.path
    can_write = WriteCheck(file)

    @cache
    def present() -> Migrations:
        return code_migrations(deployment.used_packages())

    async def applied() -> Migrations:
        if file is None:
            return await applied_on_server()
        # On a connection of its own: that of the add-on waits for its own transactions, and for SQLite's write lock.
        return await asyncio.to_thread(applied_in_file, file)

    async def database() -> str:
        await applied()
        return await can_write()

    async def migrations() -> str:
        return "pending" if present() - await applied() else OK

    async def engine() -> str:
        return OK if is_working() else "stopped"

    return {"database": database, "migrations": migrations, "engine": engine}
