"""Gives free pages of an SQLite file back to the disk, in small steps beside the add-on's work.

Deleted rows leave free pages in the file, which later rows use. A file that the runtime has created, or that
``addonkit migrate --compact`` has rewritten, has ``auto_vacuum = INCREMENTAL``: SQLite can move pages from the end of
the file to free ones, and cut the end off. Nothing is done with other files.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from addonkit.database.errors import storage_errors
from addonkit.database.lock import migration_lock, serving_lock
from addonkit.database.sql import current_connection, fetch
from addonkit.errors import AddonkitError, StorageUnavailable

INCREMENTAL = 2
ROUND_S = 60.0
BUSY_TIMEOUT_S = 5.0
STEP_PAGES = 64
RESERVE_PAGES = 256
"""Free pages that stay in the file for the next rows: 1 MB."""
IDLE_SHARE = 3
"""How many times as long as a step took the pause after it lasts at least, so that other writers get their turn."""


class SpaceKeeper:
    """Gives free pages back, a round a minute; the queue uses the same pages again and again, so some are kept."""

    async def run(self) -> None:
        """Do so until cancelled; the database may be unavailable meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            began, given = loop.time(), 0
            with suppress(AddonkitError):  # the loop that leases jobs logs an unavailable database
                given = await give_back()
            await asyncio.sleep(IDLE_SHARE * (loop.time() - began) if given else ROUND_S)


async def give_back(reserve: int = RESERVE_PAGES) -> int:
    """Give one step of free pages back.

    The file becomes shorter at a later checkpoint of the write-ahead log, which is asked for after the last step.

    Args:
        reserve: Number of free pages to keep.

    Returns:
        The number of pages; 0 if the file has few free pages or was created without ``auto_vacuum``.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    [mode], [free] = await fetch("PRAGMA auto_vacuum"), await fetch("PRAGMA freelist_count")
    surplus = min(STEP_PAGES, free["freelist_count"] - reserve)
    if mode["auto_vacuum"] != INCREMENTAL or surplus <= 0:
        return 0
    with storage_errors():
        # As a script: of this statement, Python's other methods execute one step, which gives back one page.
        await current_connection().execute_script(f"PRAGMA incremental_vacuum({surplus:d})")
    [left] = await fetch("PRAGMA freelist_count")
    if left["freelist_count"] <= reserve:
        await fetch("PRAGMA wal_checkpoint(PASSIVE)")
    return max(0, int(free["freelist_count"] - left["freelist_count"]))


async def compact(file: Path) -> tuple[int, int]:
    """Rewrite a file without its free pages, and let it give them back by itself from then on.

    Args:
        file: The file, which no process serves from.

    Returns:
        Its size before and after, in bytes.

    Raises:
        AlreadyServed: A process serves from the file.
        StorageUnavailable: It cannot be rewritten, or the disk has too little space; it is unchanged.
    """
    with serving_lock(file):
        async with migration_lock(file):
            return await asyncio.to_thread(_compact, file)


def _compact(file: Path) -> tuple[int, int]:
    before = _size(file)
    free = shutil.disk_usage(file.parent).free
    # VACUUM writes a copy to a temporary file, and the copy to the write-ahead log.
    if free < 2 * before:
        raise StorageUnavailable(
            f"'{file}' has {before} bytes and its disk has {free} free, expected twice the size of the file; free some "
            "space, or extend the disk"
        )
    try:
        address = f"{file.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StorageUnavailable(
            f"'{file}' cannot be rewritten ({error}); stop all processes that use it and try again"
        ) from error
    return before, _size(file)


def _size(file: Path) -> int:
    return file.stat().st_size
