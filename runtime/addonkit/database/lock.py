"""Locks between processes: file locks beside an SQLite file, and an advisory lock on PostgreSQL.

The kernel or the server releases each lock when its holder dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from addonkit.errors import SettingsInvalid, StorageUnavailable

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

POLL_S = 0.05
MIGRATION_TIMEOUT_S = 300.0
TABLE_TIMEOUT_S = 5.0
"""Maximum wait for the lock of one table; requests that need the table wait behind it."""
ADVISORY_LOCK_ID = 0x6164646F6E6B6974
"""Key of addonkit's advisory lock: the letters "addonkit"."""


class AlreadyServed(SettingsInvalid):
    """Another process serves from this SQLite file."""


@asynccontextmanager
async def migration_lock(path: Path, timeout_s: float = MIGRATION_TIMEOUT_S) -> AsyncIterator[None]:
    """Hold an exclusive file lock while an SQLite file is migrated or replaced; wait for the present holder.

    Args:
        path: The database; the lock file is ``<path>.lock``. It is never removed: two processes could then hold a lock.
        timeout_s: Maximum wait in seconds.

    Raises:
        StorageUnavailable: Another process held the lock for longer.
        SettingsInvalid: The file system has no locks.
    """
    lock_path = path.with_name(path.name + ".lock")
    handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                while not _try_lock(handle, path):  # noqa: ASYNC110 - flock has no asynchronous wait
                    await asyncio.sleep(POLL_S)
        except TimeoutError as exc:
            raise StorageUnavailable(
                f"another process held the lock '{lock_path}' for {timeout_s:.0f} s; "
                "wait for its migration to finish, or stop it"
            ) from exc
        yield
    finally:
        os.close(handle)


async def take_advisory_lock(client: BaseDBAsyncClient) -> None:
    """Take addonkit's advisory lock of a PostgreSQL database until the transaction ends; wait for the present holder.

    Args:
        client: The transaction. After this call it waits at most ``TABLE_TIMEOUT_S`` for the lock of a table.

    Raises:
        OperationalError: Another process held the lock for longer than ``MIGRATION_TIMEOUT_S``.
    """
    await client.execute_query(f"SET LOCAL lock_timeout = '{MIGRATION_TIMEOUT_S:.0f}s'")
    await client.execute_query(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK_ID})")
    await client.execute_query(f"SET LOCAL lock_timeout = '{TABLE_TIMEOUT_S * 1000:.0f}ms'")


@contextmanager
def serving_lock(database: Path) -> Iterator[None]:
    """Hold the file lock that allows one serving process for an SQLite file.

    Args:
        database: The file; the lock file is ``<file>.serving``. It is never removed: two processes could then hold a
            lock.

    Raises:
        AlreadyServed: Another process holds the lock; the message has its process id.
        SettingsInvalid: The lock file cannot be written, or the file system has no locks.
    """
    lock_path = database.with_name(f"{database.name}.serving")
    try:
        handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingsInvalid(
            f"'{lock_path}' cannot be written: {exc.strerror}; allow this user to write to the database's directory"
        ) from None
    try:
        if not _try_lock(handle, database):
            raise AlreadyServed(
                f"process {_holder(handle)} already serves '{database}', and an SQLite file allows one serving "
                "process; stop that process, or use PostgreSQL"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, database: Path) -> bool:
    """Lock the lock file of a database; return False if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise SettingsInvalid(
            f"no file can be locked beside '{database}': {error.strerror}; SQLite is safe on a local disk only, so "
            "move the file there, or use PostgreSQL"
        ) from None
    return True


def _holder(handle: int) -> str:
    """Return the process id that the holder wrote into the lock file."""
    return os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
