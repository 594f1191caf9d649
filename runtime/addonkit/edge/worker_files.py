"""The files in which worker processes share their metrics (prometheus_client's multiprocess mode).

Each worker process keeps its metrics in files of one folder, which all workers read. The supervisor names the folder in
``PROMETHEUS_MULTIPROC_DIR`` before it starts a worker. Files are named by worker number, not by process id: a restarted
worker continues the counters of its predecessor.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from prometheus_client import disable_created_metrics, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from addonkit.settings import worker_number

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class SharedFiles(Collector):
    """Collects the metrics of all workers from their files.

    Counters of workers that have ended are included, gauges are not. Files without a lock file, such as those that a
    plugin writes, are ignored.

    Args:
        folder: The folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Merge the metrics of all files."""
        files = [str(file) for file in sorted(self._folder.glob("*.db")) if self._is_included(file)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # untyped there
        return merged

    def _is_included(self, file: Path) -> bool:
        kind, *_, name = file.stem.split("_")
        return _is_alive(self._folder, name) if kind == "gauge" else (self._folder / f"{name}.lock").exists()


def worker_label() -> str:
    """Return the number of this worker process as a label; ``0`` if there is only one."""
    return str(worker_number() or 0)


@cache
def shared_folder() -> Path | None:
    """Set up prometheus_client's multiprocess mode and return the shared folder; None with a single process.

    Call it before any metric is created.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
    if not (path := os.environ.get(FOLDER)):
        return None
    folder = Path(path)
    name = _own_name(folder, worker_label())
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]  # untyped there
    return folder


def _own_name(folder: Path, worker: str) -> str:
    """Choose and lock the name of this process's files; return it.

    A restarted worker continues the files of its predecessor, so its counters do not restart at 0. If the predecessor
    still runs, as in a rolling restart, the name contains the process id: two processes must not write to one file.
    """
    name = worker
    if not _lock(folder, name):
        name = f"{worker}-{os.getpid()}"
        _lock(folder, name)
    for gauges in folder.glob(f"gauge_*_{name}.db"):
        gauges.unlink()
    return name


def _lock(folder: Path, name: str) -> bool:
    """Lock a name with flock, which lasts until this process ends; return False if another process has locked it."""
    import fcntl  # Imported here: Windows has no fcntl, and no worker processes either.

    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def _is_alive(folder: Path, name: str) -> bool:
    """Return whether the process that owns a name still holds its lock."""
    import fcntl

    try:
        lock = os.open(folder / f"{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
