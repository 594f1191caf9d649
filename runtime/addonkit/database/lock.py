"""One process at a time, by a lock that ends with its holder: on a file beside SQLite's, or by the server itself."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tortoise.backends.base.client import BaseDBAsyncClient

from addonkit.errors import StorageUnavailable

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
