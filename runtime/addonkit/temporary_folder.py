"""Temporary folders that another process removes if the processes that use them are killed.

The owner holds an exclusive lock (flock) on the folder itself. Child processes that inherit the descriptor share the
lock, and the kernel releases it when the last of them ends, however it ends. So a folder that can be locked is used by
nobody, in whichever container its owner ran. systemd-tmpfiles leaves locked folders alone, too.

Source: https://systemd.io/TEMPORARY_DIRECTORIES/ for systemd-tmpfiles.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from addonkit.errors import StorageUnavailable
from addonkit.log import structlog

# What ``tempfile.mkdtemp`` adds to the prefix.
RANDOM = re.compile(r"[a-z0-9_]{8}")
PRIVATE = 0o700
ATTEMPTS = 10

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LockedFolder:
    """A folder of this process.

    Attributes:
        path: The folder, which only this user can enter.
        descriptor: The locked descriptor; a child process that inherits it keeps the folder.
    """

    path: Path
    descriptor: int


@contextmanager
def locked_folder(prefix: str, parent: Path | None = None) -> Iterator[LockedFolder]:
    """Create a folder for a block, after those that killed processes have left were removed.

    Args:
        prefix: What its name begins with; folders with this prefix must be created by this function alone.
        parent: Where to create it; None means the system's temporary folder.

    Raises:
        StorageUnavailable: It cannot be created.
    """
    try:
        directory = parent or Path(tempfile.gettempdir())
        remove_abandoned(directory, prefix)
        folder = _new_folder(directory, prefix)
    except OSError as error:
        remedy = "allow this user to write there" if parent else "set TMPDIR to a folder that this user can write to"
        where = f" in '{error.filename}'" if error.filename else ""
        raise StorageUnavailable(f"no temporary folder can be created{where}: {error.strerror}; {remedy}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
        os.close(folder.descriptor)


def remove_abandoned(parent: Path, prefix: str) -> list[Path]:
    """Remove the folders that no process has locked any more; return them.

    Only real folders of this user are touched, to which nobody else has access, with a name of ``locked_folder``.
    """
    with suppress(OSError):
        names = sorted(entry.name for entry in os.scandir(parent) if entry.name.startswith(prefix))
        paths = [parent / name for name in names if RANDOM.fullmatch(name.removeprefix(prefix))]
        return [path for path in paths if _remove_if_abandoned(path)]
    return []


def _new_folder(parent: Path, prefix: str) -> LockedFolder:
    """Create and lock a folder; another one if a process that removes abandoned folders was faster than the lock.

    Raises:
        OSError: No folder can be created there.
    """
    for _ in range(ATTEMPTS):
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            descriptor = _open(path)
            if _is_taken(descriptor) and _is_at(path, descriptor):
                return LockedFolder(path, descriptor)
            os.close(descriptor)
            path.rmdir()
    raise FileNotFoundError(2, "every new folder is removed by another process", str(parent))


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = _open(path)
    except OSError:
        return False  # no folder, a symbolic link, or a folder of somebody else
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != PRIVATE:
            return False
        _lock(descriptor)
        # Another process may have removed the folder before this one had the lock.
        if not _is_at(path, descriptor):
            return False
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    log.info("folder.abandoned_removed", path=str(path))
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is_taken(descriptor: int) -> bool:
    """Lock a new folder; return False if another process has locked it, which will remove it."""
    try:
        _lock(descriptor)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: no process can lock the folder, so that none removes it either
    return True


def _lock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still names the folder of a descriptor."""
    try:
        there, here = path.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
