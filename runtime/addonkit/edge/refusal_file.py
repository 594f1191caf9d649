"""A file that keeps, across a restart, which sites' webhooks were refused while the database did not answer.

Each process has its own file, which exists only while something in it is not yet in the database. It holds numbers of
sites and times. A file whose process has ended, recognised by a file lock, is adopted by another process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

from addonkit.log import structlog

PREFIX = "addonkit-missed-"
MAX_BYTES = 4 * 1024 * 1024

log = structlog.get_logger()


class RefusalFile:
    """The file of one process.

    Args:
        directory: Where the files of all processes lie.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}.txt"
        self._handle: int | None = None
        self._adopted: list[tuple[int, Path]] = []
        self._failed = False

    def append(self, tenant_id: int, since: float) -> None:
        """Add a site; if the file cannot be written, a warning is logged once, and the site is kept in memory alone."""
        try:
            if self._handle is None:
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._handle, f"{tenant_id} {since:.3f}\n".encode())
        except OSError as problem:
            if not self._failed:
                log.warning("webhooks.missed_file_failed", path=str(self._path), reason=problem.strerror)
            self._failed = True

    def adopt(self) -> dict[int, float]:
        """Lock and read the files of processes that have ended; ``clear`` deletes them."""
        found: dict[int, float] = {}
        for path in sorted(self._directory.glob(f"{PREFIX}*.txt")):
            try:
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)  # of this process, or of another one that runs
                continue
            self._adopted.append((handle, path))
            for number, since in _lines(os.pread(handle, MAX_BYTES, 0)):
                found[number] = min(since, found.get(number, since))
        return found

    def clear(self) -> None:
        """Delete this process's file and the adopted ones, since the database has what they hold."""
        own = [] if self._handle is None else [(self._handle, self._path)]
        for handle, path in (*own, *self._adopted):
            with suppress(OSError):
                path.unlink()
            os.close(handle)
        self._handle, self._adopted, self._failed = None, [], False

    def close(self) -> None:
        """Close the files and keep them."""
        own = [] if self._handle is None else [self._handle]
        for handle in (*own, *(handle for handle, _ in self._adopted)):
            os.close(handle)
        self._handle, self._adopted = None, []


def _lines(data: bytes) -> list[tuple[int, float]]:
    """Read the complete lines: a process may have ended while it wrote the last one, whose time would be too early."""
    found = []
    for line in data.decode("ascii", "replace").rpartition("\n")[0].splitlines():
        number, _, since = line.partition(" ")
        with suppress(ValueError):
            found.append((int(number), float(since)))
    return found
