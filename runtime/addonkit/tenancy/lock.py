"""One process at a time: a lock on a file beside the database, which ends with the process that holds it."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from addonkit.errors import StorageUnavailable

POLL_S = 0.05


@asynccontextmanager
async def exclusive(path: Path, timeout_s: float = 300.0) -> AsyncIterator[None]:
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


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
