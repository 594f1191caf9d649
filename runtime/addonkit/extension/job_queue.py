"""The door to the queue that is open in this process: plugins put jobs into it, the layers above open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from addonkit.errors import StorageUnavailable
from addonkit.work import Queue

_open: list[Queue] = []


def queue() -> Queue:
    """The queue of this process.

    Raises:
        StorageUnavailable: None is open, as in a command that has not opened the database.
    """
    if not _open:
        raise StorageUnavailable("no queue is open in this process; put jobs into it while the add-on runs")
    return _open[-1]


@contextmanager
def opened(queue: Queue) -> Iterator[None]:
    """Let this process put jobs into a queue, for the block."""
    _open.append(queue)
    try:
        yield
    finally:
        _open.remove(queue)
