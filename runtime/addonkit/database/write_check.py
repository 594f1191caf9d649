"""Finds out whether the database can be written, by storing a job in a transaction that is rolled back.

Nothing remains of it but, on PostgreSQL, a dead row for autovacuum. The payload needs a page of its own, so that a full
disk is noticed. A busy database counts as writable: the check never waits for SQLite's write lock, and half a second
for a lock of PostgreSQL.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import current_connection, execute, fetch
from addonkit.database.sqlite import Client
from addonkit.errors import StorageUnavailable

READ_ONLY, FULL, DENIED, INCOMPLETE = "read-only", "full", "denied", "incomplete"
"""Words for what is wrong: the server or file accepts no writes; the disk has no space; the role lacks a right; a table
or column is missing."""
PAYLOAD_BYTES = 8192
FREE_BYTES = 256 * 1024
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"
LIMIT_TIMEOUT_S = 0.5
INSERT = """
INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, state, due_at, created_at, starts,
    failures, deaths) VALUES (0, 'addonkit', 'write_check', 'job', {}, 1, '{{}}', 'dead', 0, 0, 0, 0, 0)
"""
SQLSTATES = {
    "25006": READ_ONLY,
    "53100": FULL,
    "42501": DENIED,
    "42P01": INCOMPLETE,
    "42703": INCOMPLETE,
    "42883": INCOMPLETE,
}
LOCK_NOT_AVAILABLE = "55P03"
SQLITE_CODES = {
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: READ_ONLY,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_ERROR: INCOMPLETE,  # the statement is constant, so a table or a column is missing
}
SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _RolledBackError(Exception):
    """Ends the transaction of the check without a fault."""


async def write_problem(file: Path | None) -> str | None:
    """Return a word for why the open database cannot be written; None if it can be, or is only busy.

    Args:
        file: The file of an SQLite database; None on PostgreSQL.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    if file is None:
        return await _problem_on_postgres()
    # On a connection of its own: that of the add-on waits for its transactions, and for the write lock.
    return await asyncio.to_thread(_problem_on_sqlite, file, await _page_limit())


async def _problem_on_postgres() -> str | None:
    try:
        with storage_errors():
            async with in_transaction(CONNECTION):
                await execute(LOCK_TIMEOUT)
                await execute(INSERT.format("?"), [os.urandom(PAYLOAD_BYTES)])  # which cannot be compressed
                raise _RolledBackError
    except _RolledBackError:
        return None
    except StorageUnavailable as error:
        states = {getattr(cause, "sqlstate", None) for cause in _causes(error)}
        if LOCK_NOT_AVAILABLE in states:
            return None
        if found := [word for state, word in SQLSTATES.items() if state in states]:
            return found[0]
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def _page_limit() -> int | None:
    """Return the largest number of pages that the add-on's connection allows; None if it is in use now."""
    connection = current_connection()
    if not isinstance(connection, Client) or connection.connection_use().in_use:
        return None
    with suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_TIMEOUT_S):
            return int((await fetch("PRAGMA max_page_count"))[0]["max_page_count"])
    return None


def _problem_on_sqlite(file: Path, limit: int | None) -> str | None:
    """Return what is wrong with a file, without waiting for anything.

    Raises:
        StorageUnavailable: The file cannot be used for another reason.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
            connection.isolation_level = None
            if limit is not None:
                connection.execute(f"PRAGMA max_page_count = {limit:d}")
            connection.execute("BEGIN IMMEDIATE")
            with _rolled_back(connection):
                connection.execute(INSERT.format(f"zeroblob({PAYLOAD_BYTES})"))
    except sqlite3.Error as error:
        code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else sqlite3.SQLITE_IOERR
        if code in SQLITE_BUSY:
            return None
        if code in SQLITE_CODES:
            return SQLITE_CODES[code]
        raise StorageUnavailable(f"the database '{file}' cannot be written ({error})") from error
    return _problem_of_disk(file.parent)


@contextmanager
def _rolled_back(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")


def _problem_of_disk(folder: Path) -> str | None:
    """Return what keeps a file in this folder from growing, because pages that are rolled back never reach the disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, FREE_BYTES)
    except OSError as error:
        if error.errno in FULL_ERRORS:
            return FULL
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return READ_ONLY
    return None
