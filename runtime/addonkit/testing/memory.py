"""The file system in memory, for data that need not outlive the tests: on a disk, every commit of SQLite waits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108 - its users make private folders in it
MIN_FREE_BYTES = 2 * 1024**3
"""Free memory that is required to use it."""


def memory_folder(*, executable: bool = False) -> Path | None:
    """Return a folder in memory; None if there is none, or too little memory is free.

    Args:
        executable: Whether programs and libraries must run from there, which containers often forbid.
    """
    if not os.access(FOLDER, os.W_OK) or shutil.disk_usage(FOLDER).free < MIN_FREE_BYTES:
        return None
    return None if executable and os.statvfs(FOLDER).f_flag & os.ST_NOEXEC else FOLDER
