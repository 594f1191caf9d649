"""Tortoise's SQLite client, with safe cancellation and transactions that begin with the write lock.

Tortoise finds it by its module name and ``client_class``. It differs from Tortoise's own client in these points:

- A new file can be read by its owner only; SQLite gives its log and shared memory (``-wal``, ``-shm``) the same mode.
  It can give free pages back to the disk (``auto_vacuum``), see ``free_space``.
- When a task is cancelled while its transaction begins, the connection's lock is released. Otherwise no task could
  write afterwards.
- When a bulk insert is cancelled, it is rolled back. Otherwise later writes would join its open transaction and would
  not be on disk when they are acknowledged.
- Transactions begin with ``BEGIN IMMEDIATE``, which takes the write lock. A second process then waits for the lock
  instead of failing at its first write.
- A transaction belongs to the task that began it, see ``task_bound``. After its end, statements of tasks that it
  started wait for the connection's lock. Otherwise they would join the open transaction of another task.
- The number of rows that a statement has changed does not include those that triggers have changed.
- Errors of a file that is locked, full, missing or damaged become ``DatabaseUnavailable``.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any

from tortoise.backends.base.client import TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from addonkit.database import sqlite_thread
from addonkit.database.connection_use import ConnectionUse
from addonkit.database.errors import unavailable
from addonkit.database.statement_span import BEGIN, COMMIT, SQLITE, statement_span
from addonkit.database.task_bound import NestedTransaction, TaskBound, TransactionConnection, TransactionMisused, leave
from addonkit.spans import Tracer

UNAVAILABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """Convert errors of sqlite3 to Tortoise's errors, or to ``DatabaseUnavailable``."""
    try:
        yield
    except OperationalError as exc:
        if _is_unavailable(exc.__cause__ or exc.__context__):
            raise unavailable(exc) from exc
        raise
    except sqlite3.Error as exc:
        raise (unavailable(exc) if _is_unavailable(exc) else OperationalError(exc)) from exc


def _is_unavailable(cause: BaseException | None) -> bool:
    # The low byte is the primary result code; the higher bytes make it an extended code.
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE_CODES


class ErrorMappingClient(SqliteClient):
    """Runs statements and raises ``DatabaseUnavailable`` when the file cannot be used.

    Attributes:
        tracer: Records a span of each statement; None unless tracing is on.
    """

    tracer: Tracer | None = None

    def note_statement(self, statement: str) -> None:
        """Do nothing; a transaction notes writes of other tasks."""

    def running(self, statement: str) -> AbstractContextManager[None]:
        """Return the block in which a statement runs: it converts errors, and records a span if tracing is on."""
        self.note_statement(statement)
        return sqlite_errors() if self.tracer is None else self._traced(self.tracer, statement)

    @contextmanager
    def _traced(self, tracer: Tracer, statement: str) -> Iterator[None]:
        with statement_span(tracer, SQLITE, statement), sqlite_errors():
            yield

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        """Run an insert and return the row's number."""
        with self.running(query):
            number: int = await super().execute_insert(query, values)
        return number

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Any]:
        """Run a statement and return the number of affected rows and the result rows."""
        with self.running(query):
            affected, rows = await self._execute_counting(query, values)
        return affected, rows

    @translate_exceptions
    async def _execute_counting(self, query: str, values: list[Any] | None) -> tuple[int, Any]:
        async with self.acquire_connection() as connection:
            affected, rows = await connection._execute(sqlite_thread.run, connection, query, values or [])  # noqa: SLF001 - see sqlite_thread
        return affected or len(rows), rows

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[Any]:
        """Run a statement and return its rows, each a dictionary by column name."""
        with self.running(query):
            rows: list[Any] = await super().execute_query_dict(query, values)
        return rows


class ImmediateTransaction(TaskBound, ErrorMappingClient, SqliteTransactionWrapper):
    """A transaction that holds the write lock from its start, by ``BEGIN IMMEDIATE``."""

    def acquire_connection(self) -> Any:
        """Return the context manager for a statement; after the transaction has ended, statements run outside of it."""
        if self._finalized:
            self.check_ended()
            return self._parent.acquire_connection()
        return TransactionConnection(self._lock, self)

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.tracer = connection.tracer
        self.after_commit: list[Callable[[], None]] = []
        self.nested: list[TaskBound] = []

    async def begin(self) -> None:
        """Begin the transaction.

        Raises:
            DatabaseUnavailable: Another process held the write lock for too long, or the file cannot be written.
        """
        self.keep_task()
        with self.running(BEGIN):
            connection: Any = self._connection
            await connection._execute(sqlite_thread.begin, connection)  # noqa: SLF001 - see sqlite_thread

    def _in_transaction(self) -> TransactionContext:
        if self._finalized:
            self.check_ended()
            outside: TransactionContext = self._parent._in_transaction()  # noqa: SLF001 - as Tortoise does
            return outside
        self.check_nested()
        return NestedTransaction(ImmediateTransaction(self))

    async def savepoint(self) -> None:
        """Begin a nested transaction."""
        self.keep_task()
        await super().savepoint()

    async def release_savepoint(self) -> None:
        """End a nested transaction and keep what it did."""
        await super().release_savepoint()
        self._finalized = True

    async def savepoint_rollback(self) -> None:
        """End a nested transaction and undo what it did."""
        await super().savepoint_rollback()
        self._finalized = self._was_rolled_back = True

    async def rollback(self) -> None:
        """Undo the transaction."""
        self._was_rolled_back = True
        await super().rollback()

    async def commit(self) -> None:
        """Write the transaction to disk; on an error, roll it back and raise."""
        self.check_complete()
        with self.running(COMMIT):
            try:
                await super().commit()
            except sqlite3.Error:
                await self._connection.rollback()
                self._finalized = self._was_rolled_back = True
                raise
        for callback in self.after_commit:
            callback()

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run a statement once for each row of values."""
        with self.running(query):
            await super().execute_many(query, values)

    async def execute_script(self, query: str) -> None:
        """Run several statements within this transaction; SQLite's own ``executescript`` commits first."""
        statement = ""
        for piece in query.split(";"):
            statement += piece + ";"
            if sqlite3.complete_statement(statement):
                await self.execute_query(statement)
                statement = ""


class LockedTransaction(SqliteTransactionContext):
    """Holds the connection's lock during one transaction, and releases it in every case."""

    __slots__ = ("_connections",)

    async def __aenter__(self) -> TransactionalDBClient:
        lock: asyncio.Lock = self._trxlock
        await lock.acquire()
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            try:
                await self._rollback_begin()
            finally:
                lock.release()
            raise
        self._connections = get_connections()
        self.token = self._connections.set(self.connection_name, self.connection)
        client: TransactionalDBClient = self.connection
        return client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        transaction: ImmediateTransaction = self.connection
        misused = leave(transaction, self._connections, self.token)
        try:
            if not transaction._finalized:  # noqa: SLF001
                await self._end(transaction, keep=kind is None and misused is None)
        finally:
            self._trxlock.release()
        if misused is not None:
            raise misused

    async def _end(self, transaction: ImmediateTransaction, *, keep: bool) -> None:
        if not keep:
            await transaction.rollback()
            return
        try:
            await transaction.commit()
        except TransactionMisused:
            await transaction.rollback()
            raise

    async def _rollback_begin(self) -> None:
        # A cancelled BEGIN still runs in the connection's thread; the rollback is queued behind it and undoes it.
        if self.connection._connection:  # noqa: SLF001
            await self.connection._connection.rollback()  # noqa: SLF001


class Client(ErrorMappingClient):
    """One connection to one file; Tortoise's lock serialises its users."""

    async def create_connection(self, with_db: bool) -> None:
        """Open the file; a file that does not exist is created with mode 0600, whatever the umask is."""
        if self._connection is None:
            _create_private(self.filename)
        await super().create_connection(with_db)

    async def data_version(self) -> int:
        """Return SQLite's ``data_version``, which changes when another connection writes, not on this one's own writes.

        It does not wait for this connection's transaction: while that is open, no other connection can write.
        """
        await self.create_connection(with_db=True)
        assert self._connection is not None  # noqa: S101 - create_connection() sets it; for the type checker
        rows = await self._connection.execute_fetchall("PRAGMA data_version")
        return int(next(iter(rows))[0])

    def connection_use(self) -> ConnectionUse:
        """Return whether the one connection is in use; asyncio's locks do not say how many tasks wait."""
        return ConnectionUse(int(self._lock.locked()), 0, 1)

    def _in_transaction(self) -> TransactionContext:
        return LockedTransaction(ImmediateTransaction(self), self._lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run a statement once for each row of values, in one transaction."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


def _create_private(path: str) -> None:
    # Errors of the file are left to the connection that is opened next.
    with suppress(OSError, sqlite3.Error):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only an empty file takes it


client_class = Client
