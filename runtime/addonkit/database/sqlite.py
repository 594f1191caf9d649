"""Tortoise's SQLite client, made safe against cancellation, with transactions that write at once.

Tortoise finds it by its module name and ``client_class``. Four things differ from the client it is made from:

- A task that is cancelled while its transaction begins gives the lock back; otherwise nobody would write any more.
- A bulk insert that is cancelled is rolled back; otherwise later writes would join its open transaction and not be
  on disk when they are acknowledged.
- Transactions take the write lock first (``BEGIN IMMEDIATE``), so that a second process makes one wait and not fail.
- A file that cannot be used just now, being locked, full or gone, is ``DatabaseLost``.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from addonkit.database.errors import lost

AWAY = frozenset(
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
    """Turn what sqlite3 raises into Tortoise's errors, or into ``DatabaseLost``."""
    try:
        yield
    except OperationalError as exc:
        if _is_away(exc.__cause__ or exc.__context__):
            raise lost(exc) from exc
        raise
    except sqlite3.Error as exc:
        raise (lost(exc) if _is_away(exc) else OperationalError(exc)) from exc


def _is_away(cause: BaseException | None) -> bool:
    # The lower byte is the kind; the others say more closely what it was.
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in AWAY


class Watched(SqliteClient):
    """Runs statements, and knows a file that cannot be used just now."""

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        """Run one insert and give the number of its row."""
        with sqlite_errors():
            number: int = await super().execute_insert(query, values)
        return number

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Any]:
        """Run one statement and give how many rows it touched, and those that it gives."""
        with sqlite_errors():
            touched, rows = await super().execute_query(query, values)
        return touched, rows

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[Any]:
        """Run one statement and give its rows by column."""
        with sqlite_errors():
            rows: list[Any] = await super().execute_query_dict(query, values)
        return rows


class WritingTransaction(Watched, SqliteTransactionWrapper):
    """A transaction that holds the write lock from its start."""

    async def begin(self) -> None:
        """Start it.

        Raises:
            DatabaseLost: Another process held the lock for too long, or the file cannot be written.
        """
        with sqlite_errors():
            await self._connection.commit()
            await self._connection.execute("BEGIN IMMEDIATE")

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(WritingTransaction(self))

    async def commit(self) -> None:
        """Put it on disk, or undo it and say so."""
        with sqlite_errors():
            try:
                await super().commit()
            except sqlite3.Error:
                await self._connection.rollback()
                self._finalized = True
                raise

    async def execute_script(self, query: str) -> None:
        """Run several statements without the commit that SQLite's own scripts start with."""
        statement = ""
        for piece in query.split(";"):
            statement += piece + ";"
            if sqlite3.complete_statement(statement):
                await self.execute_query(statement)
                statement = ""


class LockedTransaction(SqliteTransactionContext):
    """Holds the connection's lock for one transaction, and gives it back whatever happens."""

    __slots__ = ()

    async def __aenter__(self) -> TransactionalDBClient:
        lock: asyncio.Lock = self._trxlock
        await lock.acquire()
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            try:
                await self._abandon()
            finally:
                lock.release()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        client: TransactionalDBClient = self.connection
        return client

    async def _abandon(self) -> None:
        # A cancelled BEGIN still runs in the connection's thread: a rollback queued behind it undoes it.
        if self.connection._connection:  # noqa: SLF001
            await self.connection._connection.rollback()  # noqa: SLF001


class Client(Watched):
    """One connection to one file; Tortoise's own lock puts its users in a row."""

    async def data_version(self) -> int:
        """Give a number that changes when another connection has written, and not when this one has.

        It waits for no transaction: while one of ours is open, nobody else can write.
        """
        await self.create_connection(with_db=True)
        assert self._connection is not None  # noqa: S101 - for the type checker, it was made above
        rows = await self._connection.execute_fetchall("PRAGMA data_version")
        return int(next(iter(rows))[0])

    def _in_transaction(self) -> TransactionContext:
        return LockedTransaction(WritingTransaction(self), self._lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run one statement for each row of values, all or none."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


client_class = Client
