"""Tortoise's SQLite client, made safe against cancellation, with transactions that write at once.

Tortoise finds it by its module name and ``client_class``. Three things differ from the client it is made from:

- A task that is cancelled while its transaction begins gives the lock back; otherwise nobody would write any more.
- A bulk insert that is cancelled is rolled back; otherwise later writes would join its open transaction and not be
  on disk when they are acknowledged.
- Transactions take the write lock first (``BEGIN IMMEDIATE``), so that a second process makes one wait and not fail.
"""

import asyncio
import sqlite3
from typing import Any

from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError


class WritingTransaction(SqliteTransactionWrapper):
    """A transaction that holds the write lock from its start."""

    async def begin(self) -> None:
        """Start it.

        Raises:
            OperationalError: Another process held the lock for too long, or the file cannot be written.
        """
        try:
            await self._connection.commit()
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as exc:
            raise OperationalError(exc) from exc

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(WritingTransaction(self))

    async def commit(self) -> None:
        """Put it on disk, or undo it and say so."""
        try:
            await super().commit()
        except sqlite3.Error as exc:
            await self._connection.rollback()
            self._finalized = True
            raise OperationalError(exc) from exc

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


class Client(SqliteClient):
    """One connection to one file; Tortoise's own lock puts its users in a row."""

    def _in_transaction(self) -> TransactionContext:
        return LockedTransaction(WritingTransaction(self), self._lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run one statement for each row of values, all or none."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


client_class = Client
