"""One serving process for each SQLite file: a lock beside it, which the kernel lifts when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from addonkit.errors import SettingsInvalid


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
