"""How several workers share their numbers: each keeps its own in files of a folder that all of them read.

The supervisor names the folder in ``PROMETHEUS_MULTIPROC_DIR`` before a worker starts, as prometheus_client has it.
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

WORKER, FOLDER = "ADDONKIT_WORKER", "PROMETHEUS_MULTIPROC_DIR"


def worker_number() -> str:
    """This process's number among its fellows; ``0`` without any."""
    return os.environ.get(WORKER) or "0"


@cache
def shared_folder() -> Path | None:
    """The folder of the numbers, once prometheus_client is told of it; None for a process without fellows.

    To be called before anything is counted.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
    if not (named := os.environ.get(FOLDER)):
        return None
    folder = Path(named)
    name = _own_name(folder, worker_number())
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]  # untyped there
    return folder


class MultiprocessRegistry(Collector):
    """The numbers of all workers.

    What was counted stays, whoever counted it; what a process holds or uses is told while it lives. Files of others,
    such as a plugin that counts for itself, are left alone.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        files = [str(file) for file in sorted(self._folder.glob("*.db")) if self._counts(file)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # untyped there
        return merged

    def _counts(self, file: Path) -> bool:
        kind, *_, name = file.stem.split("_")
        return _is_alive(self._folder, name) if kind == "gauge" else (self._folder / f"{name}.lock").exists()


def _own_name(folder: Path, worker: str) -> str:
    """What this process's files are called.

    A worker that is started anew goes on with its predecessor's: counts do not fall, and there are as many files as
    workers. Where the predecessor still lives, as while one release takes over from another, each has files of its own:
    two must never write to one.
    """
    name = worker
    if not _lock(folder, name):
        name = f"{worker}-{os.getpid()}"
        _lock(folder, name)
    for gauges in folder.glob(f"gauge_*_{name}.db"):
        gauges.unlink()
    return name


def _lock(folder: Path, name: str) -> bool:
    """Take a name until this process ends, however it ends."""
    import fcntl  # here, for not every system has it, and those that have not run no workers

    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def _is_alive(folder: Path, name: str) -> bool:
    """Whether the process whose files are called so holds its lock."""
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
