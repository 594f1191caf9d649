"""Group commit for webhooks: jobs that arrive while a transaction is being written share the next transaction.

A request is answered once its job is committed. The buffer of waiting jobs is limited in rows and in bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.current import own_context
from addonkit.database import CONNECTION
from addonkit.database.errors import error_summary, storage_errors
from addonkit.database.sql import on_postgres
from addonkit.database.statement_span import POSTGRESQL, SQLITE, statement_span
from addonkit.errors import AddonkitError, PayloadInvalid, QueueFull, StorageUnavailable
from addonkit.jobs.queue import insert_jobs, notify_workers, with_origin
from addonkit.jobs.sql import INSERT_INTO
from addonkit.log import structlog
from addonkit.observers import current_tracer
from addonkit.work import NewJob

log = structlog.get_logger(__name__)

CLOSE_S = 5.0
MAX_BATCH_ROWS = 256
"""Maximum number of rows of one transaction."""


@dataclass(frozen=True, slots=True)
class _Pending:
    job: NewJob
    committed: asyncio.Future[None]


class Reservation:
    """The bytes that one request has reserved in the writer's buffer.

    Args:
        writer: The writer whose buffer it is.
    """

    def __init__(self, writer: WebhookWriter) -> None:
        self._writer = writer
        self._size = 0

    def __enter__(self) -> Self:
        """Reserve nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the reserved bytes."""
        self.release()

    def take(self, size: int) -> None:
        """Reserve this many bytes more.

        Raises:
            QueueFull: The buffer would exceed its limit.
        """
        writer = self._writer
        if writer.size + size > writer.max_bytes:
            raise QueueFull(f"{writer.size} bytes of webhooks wait to be stored, the limit is {writer.max_bytes}")
        writer.size += size
        self._size += size

    def release(self) -> None:
        """Release the reserved bytes."""
        self._writer.size -= self._size
        self._size = 0


class WebhookWriter:
    """Stores jobs for concurrent requests by group commit.

    Args:
        max_rows: Maximum number of waiting jobs.
        max_bytes: Maximum size of waiting jobs, including bodies that are still being read.

    Attributes:
        size: Number of bytes reserved now.
        rows: Number of jobs that wait or are being written now.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.max_rows, self.max_bytes = max_rows, max_bytes
        self.size = self.rows = 0
        self._pending: list[_Pending] = []
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False

    @asynccontextmanager
    async def accepting(self) -> AsyncIterator[None]:
        """Store jobs during a block; at its end, wait for those that are being written, and store no more.

        The database is closed after that, also under requests that an aborted shutdown has left behind.
        """
        self._is_closed = False
        try:
            yield
        finally:
            self._is_closed = True
            if self._writing is not None:
                await asyncio.wait({self._writing}, timeout=CLOSE_S)

    def reserve(self) -> Reservation:
        """Reserve space for the body of one request, for the duration of a ``with`` block.

        Raises:
            QueueFull: The maximum number of jobs is waiting.
        """
        self._check_rows()
        return Reservation(self)

    async def store(self, job: NewJob) -> None:
        """Enqueue a job and return once it is committed; a job whose dedupe key exists already is skipped.

        Raises:
            QueueFull: As many jobs wait as may; more bodies may have been read at once than rows are free.
            StorageUnavailable: The database did not answer, or the process stops; the job is not stored.
            PayloadInvalid: The database cannot hold the job.
        """
        self._check_rows()
        if self._is_closed:
            raise StorageUnavailable("the process stops and stores no more webhooks; try again")
        entry = _Pending(with_origin(job), asyncio.get_running_loop().create_future())
        self._pending.append(entry)
        self.rows += 1
        if self._writing is None:
            # In a separate task, because the request that started it may be cancelled; and in a context of its own,
            # because its log lines do not concern that request alone.
            self._writing = asyncio.create_task(self._write_all(), name="webhook writer", context=own_context())
        # A request that is cancelled cancels its own future only: its job is stored with the others.
        if (tracer := current_tracer()) is None:
            await entry.committed
            return
        # The statements run for several requests at once, so this span stands for them.
        with statement_span(tracer, POSTGRESQL if on_postgres() else SQLITE, INSERT_INTO):
            await entry.committed

    def _check_rows(self) -> None:
        if self.rows >= self.max_rows:
            raise QueueFull(f"{self.rows} webhooks wait to be stored, the limit is {self.max_rows}")

    async def _write_all(self) -> None:
        """Store what waits, batch by batch; an unexpected error fails its batch, and the next one is tried."""
        failures = 0
        try:
            while self._pending:
                batch, self._pending = self._pending[:MAX_BATCH_ROWS], self._pending[MAX_BATCH_ROWS:]
                try:
                    await self._write(batch)
                except Exception:
                    failures += 1
                    if failures == 1:
                        log.exception("webhooks.write_failed", count=len(batch))
                finally:
                    self.rows -= len(batch)
        finally:
            # Only a cancellation leaves anything, when the process stops. Jira sends these again, Confluence does not.
            rest, self._pending, self._writing = self._pending, [], None
            self.rows -= len(rest)
            for entry in rest:
                _fail(entry, StorageUnavailable("storing was interrupted by the end of the process; try again"))

    async def _write(self, batch: list[_Pending]) -> None:
        """Store a batch in one transaction; if one of its jobs is invalid, store each job in a separate transaction."""
        try:
            await _commit([entry.job for entry in batch])
        except StorageUnavailable as exc:
            for entry in batch:
                _fail(entry, exc)
        except AddonkitError as exc:
            if len(batch) == 1:
                _fail(batch[0], exc)
                return
            for entry in batch:
                await self._write([entry])
        except BaseException as exc:
            for entry in batch:
                _fail(entry, StorageUnavailable(f"storing was interrupted by {type(exc).__name__}; try again"))
            raise
        else:
            for entry in batch:
                if not entry.committed.done():
                    entry.committed.set_result(None)


async def _commit(jobs: list[NewJob]) -> None:
    try:
        with storage_errors():
            async with in_transaction(CONNECTION):
                await insert_jobs(jobs)
                await notify_workers()
    except StorageUnavailable as exc:
        if isinstance(exc.__cause__, IntegrityError):
            raise PayloadInvalid(f"a webhook cannot be stored ({error_summary(exc.__cause__)})") from exc
        raise


def _fail(entry: _Pending, exc: Exception) -> None:
    if not entry.committed.done():
        entry.committed.set_exception(exc)
        # Marks the exception as retrieved: the request may be gone, and asyncio would log it.
        entry.committed.exception()
