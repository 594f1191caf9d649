"""One process at a time, by a lock that ends with its holder: on a file beside SQLite's, or by the server itself."""

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
TIMEOUT_S = 300.0
# For a table: whoever asks for one after us waits behind us.
TABLE_TIMEOUT_S = 5.0
# Ours among the advisory locks of a database: "addonkit" in letters.
LOCK_NUMBER = 0x6164646F6E6B6974


@asynccontextmanager
async def exclusive(path: Path, timeout_s: float = TIMEOUT_S) -> AsyncIterator[None]:
    """Hold the lock of a database, waiting for whoever has it.

    Args:
        path: The database; the lock is ``<path>.lock`` and is left there, since removing it would make two locks.
        timeout_s: How long to wait.

    Raises:
        StorageUnavailable: Another process kept it for longer.
    """
    side = path.with_name(path.name + ".lock")
    handle = os.open(side, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                while not _taken(handle):  # noqa: ASYNC110 - nobody tells when another process lets go
                    await asyncio.sleep(POLL_S)
        except TimeoutError as exc:
            raise StorageUnavailable(
                f"'{side}' was held by another process for {timeout_s:.0f} s; let its migration end or stop it"
            ) from exc
        yield
    finally:
        os.close(handle)


async def lock_server(client: BaseDBAsyncClient) -> None:
    """Hold the lock of a PostgreSQL database until the transaction ends, waiting for whoever has it.

    Args:
        client: The transaction; from then on it waits for the lock of a table for ``TABLE_TIMEOUT_S`` at most.

    Raises:
        OperationalError: Another process kept it for longer.
    """
    await client.execute_query(f"SET LOCAL lock_timeout = '{TIMEOUT_S:.0f}s'")
    await client.execute_query(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
    await client.execute_query(f"SET LOCAL lock_timeout = '{TABLE_TIMEOUT_S * 1000:.0f}ms'")


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class ServedAlready(SettingsInvalid):
    """Another process serves from this database."""


@contextmanager
def serving_alone(database: Path) -> Iterator[None]:
    """Be the one process that serves from a SQLite file.

    Args:
        database: The file; the lock is ``<file>.serving`` and is left there, since removing it would make two locks.

    Raises:
        ServedAlready: Another process does; the sentence names it.
    """
    side = database.with_name(f"{database.name}.serving")
    try:
        handle = os.open(side, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise SettingsInvalid(
            f"'{side}' cannot be written: {wrong.strerror}; let this user write beside the database"
        ) from None
    try:
        _take(handle, database)
        yield
    finally:
        os.close(handle)


def _take(handle: int, database: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise ServedAlready(
            f"'{database}' is served by process {holder} already, and one SQLite file feeds one; stop that process, "
            "or keep the data in PostgreSQL"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
