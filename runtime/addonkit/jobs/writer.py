"""Storing what many requests bring at once: one transaction for all that came while the last one was written.

Nobody is answered before what he brought is on disk. What waits is bounded, in rows and in bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import in_a_line, storage_errors
from addonkit.errors import AddonkitError, PayloadInvalid, QueueFull, StorageUnavailable
from addonkit.jobs.queue import put_all
from addonkit.jobs.wakeup import notify_all
from addonkit.work import NewJob

AT_ONCE = 256
"""Rows of one transaction at most."""


@dataclass(frozen=True, slots=True)
class _Entry:
    job: NewJob
    stored: asyncio.Future[None]


class Room:
    """The bytes that one request has taken of what may wait.

    Args:
        intake: Whose.
    """

    def __init__(self, intake: WebhookWriter) -> None:
        self._intake = intake
        self._size = 0

    def take(self, size: int) -> None:
        """Take so many bytes more.

        Raises:
            QueueFull: There are not so many left.
        """
        intake = self._intake
        if intake.size + size > intake.max_bytes:
            raise QueueFull(f"{intake.size} bytes of webhooks wait to be stored, the most is {intake.max_bytes}")
        intake.size += size
        self._size += size

    def give_back(self) -> None:
        """Give back what was taken."""
        self._intake.size -= self._size
        self._size = 0


class WebhookWriter:
    """Stores jobs for requests that wait for it.

    Args:
        max_rows: Most jobs that wait.
        max_bytes: Most bytes that wait, those included that are still being read.

    Attributes:
        size: How many bytes wait now.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._max_rows = max_rows
        self._waiting: list[_Entry] = []
        self._writing: asyncio.Task[None] | None = None

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Room for the body of one request, for the block.

        Raises:
            QueueFull: As many wait as may.
        """
        if len(self._waiting) >= self._max_rows:
            raise QueueFull(f"{len(self._waiting)} webhooks wait to be stored, the most is {self._max_rows}")
        room = Room(self)
        try:
            yield room
        finally:
            room.give_back()

    async def store(self, job: NewJob) -> None:
        """Keep a job; one that is there already is left as it is. When this returns it is on disk.

        Raises:
            StorageUnavailable: It is not.
            PayloadInvalid: The database cannot hold it.
        """
        entry = _Entry(job, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writing is None:
            # a task of its own, since the request that began it may be cancelled
            self._writing = asyncio.create_task(self._write_all(), name="intake")
        # a caller that leaves takes nothing of the others' with it
        await asyncio.shield(entry.stored)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._write(batch)
        finally:
            self._writing = None

    async def _write(self, batch: list[_Entry]) -> None:
        """Store all, or each by itself where one of them cannot be stored."""
        try:
            await _stored([entry.job for entry in batch])
        except StorageUnavailable as away:
            for entry in batch:
                _fail(entry, away)
        except AddonkitError as wrong:
            if len(batch) == 1:
                _fail(batch[0], wrong)
                return
            for entry in batch:
                await self._write([entry])
        except BaseException as wrong:
            for entry in batch:
                _fail(entry, StorageUnavailable(f"storing was broken off by {type(wrong).__name__}; try again"))
            raise
        else:
            for entry in batch:
                if not entry.stored.done():
                    entry.stored.set_result(None)


async def _stored(jobs: list[NewJob]) -> None:
    try:
        with storage_errors():
            async with in_transaction(CONNECTION):
                await put_all(jobs)
                await notify_all()
    except StorageUnavailable as exc:
        if isinstance(exc.__cause__, IntegrityError):
            raise PayloadInvalid(f"a webhook cannot be stored ({in_a_line(exc.__cause__)})") from exc
        raise


def _fail(entry: _Entry, wrong: Exception) -> None:
    if not entry.stored.done():
        entry.stored.set_exception(wrong)
        # whoever waits is told; of one that has gone nobody asks
        entry.stored.exception()
