# ruff: noqa: SLF001 - the connection of a transaction is private in Tortoise; Tortoise's own contexts use it as well
"""Tortoise's client for PostgreSQL: it sets up each connection for the current task and detects lost connections.

Tortoise finds it by its module name and ``client_class``. It differs from Tortoise's own client in four points:

- A connection gets the settings of the current task, see ``postgres_pool``.
- Errors that mean an unavailable database become ``DatabaseUnavailable``.
- A transaction belongs to the task that began it, see ``task_bound``; its end waits for statements of other tasks.
- A transaction that cannot begin returns its connection to the pool. A transaction that lost its connection raises that
  error only, and not a second one from its rollback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections
from tortoise.exceptions import BaseORMException, TransactionManagementError

from addonkit.database.postgres_errors import ServerReadOnly, postgres_errors
from addonkit.database.postgres_pool import PooledClient, running
from addonkit.database.statement_span import COMMIT
from addonkit.database.task_bound import NestedTransaction, TaskBound, TransactionConnection, TransactionMisused, leave
from addonkit.spans import Tracer


class Transaction(TaskBound, TransactionWrapper):
    """One connection during a transaction or a savepoint."""

    # Whether a statement failed. PostgreSQL then refuses all further ones, and COMMIT rolls back without an error.
    _failed = False
    _leaves_session_unchanged = False
    # The client, or the outer transaction of a savepoint.
    _parent: PooledClient
    tracer: Tracer | None

    def __init__(self, connection: PooledClient | Transaction) -> None:
        super().__init__(connection)
        self.tracer = connection.tracer
        self.after_commit: list[Callable[[], None]] = []
        self.nested: list[TaskBound] = []

    async def _translate_exceptions(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], str):
            self.note_statement(args[0])
        try:
            with running(self.tracer, *args, **kwargs):
                return await func(self, *args, **kwargs)
        except TransactionMisused:
            raise
        except ServerReadOnly:
            self._failed = True
            await self._parent.expire_connections()
            raise
        except BaseORMException:
            self._failed = True
            raise

    def leave_session_unchanged(self) -> None:
        """Let the pool take the connection back without resetting it, once the transaction is committed."""
        self._leaves_session_unchanged = True

    def is_session_unchanged(self) -> bool:
        """Whether the session is as it was when the connection was taken from the pool."""
        return self._leaves_session_unchanged and self._finalized and not self._was_rolled_back

    async def expire_connections(self) -> None:
        """Replace each connection of the pool when it is used next."""
        await self._parent.expire_connections()

    def acquire_connection(self) -> Any:
        """Return the context manager for a statement; after the transaction has ended, statements run outside of it."""
        if self._finalized:
            self.check_ended()
            return self._parent.acquire_connection()
        self.check_loop()
        return TransactionConnection(self._exclusive_lock(), self)

    def _in_transaction(self) -> TransactionContext:
        if self._finalized:
            self.check_ended()
            return self._parent._in_transaction()
        self.check_nested()
        return NestedTransaction(Transaction(self))

    async def begin(self) -> None:
        """Begin the transaction or the savepoint."""
        self.keep_task()
        async with self._exclusive_lock():
            await super().begin()

    def _exclusive_lock(self) -> asyncio.Lock:
        """Return the lock that statements take: that of the outermost transaction, whose connection all share."""
        return self._parent._exclusive_lock() if isinstance(self._parent, Transaction) else self._lock

    async def commit(self) -> None:
        """Commit the transaction.

        Raises:
            TransactionManagementError: A statement failed and its error was suppressed; nothing was stored.
        """
        self.check_complete()
        async with self._exclusive_lock():
            with running(self.tracer, COMMIT):
                if self._failed:
                    await self._check_usable()
                await super().commit()
        for callback in self.after_commit:
            callback()

    async def _check_usable(self) -> None:
        try:
            await self._connection.execute("SELECT 1")
        except asyncpg.InFailedSQLTransactionError as exc:
            await self._roll_back()
            raise TransactionManagementError(
                "a statement of this transaction failed, so nothing was stored; do not suppress its error, or run the "
                "statement in a nested transaction"
            ) from exc

    async def rollback(self) -> None:
        """Roll back the transaction; for a lost connection the server has already done so."""
        async with self._exclusive_lock():
            await self._roll_back()

    async def _roll_back(self) -> None:
        self._was_rolled_back = True
        if _is_lost(self._connection):
            self._finalized = True
            return
        with postgres_errors():
            await super().rollback()


def _is_lost(connection: PoolConnectionProxy) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # The pool has already released the lost connection.
        return True


class PooledTransaction(TransactionContextPooled):
    """Holds a pooled connection during one transaction, and returns it in every case."""

    __slots__ = ("_connections",)
    client: Transaction

    async def __aenter__(self) -> TransactionalDBClient:
        self.client._connection = await self.client._parent.acquire()
        self._connections = get_connections()
        self.token = self._connections.set(self.connection_name, self.client)
        try:
            await self.client.begin()
        except BaseException:
            leave(self.client, self._connections, self.token)
            await self._release()
            raise
        return self.client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        misused = leave(self.client, self._connections, self.token)
        try:
            if not self.client._finalized:
                await self._end(keep=kind is None and misused is None)
        finally:
            await self._release()
        if misused is not None:
            raise misused

    async def _end(self, *, keep: bool) -> None:
        if not keep:
            await self.client.rollback()
            return
        try:
            await self.client.commit()
        except TransactionMisused:
            await self.client.rollback()
            raise

    async def _release(self) -> None:
        if not self.client._finalized and not _is_lost(self.client._connection):
            # The state is unknown, as after a cancelled BEGIN. Closing the connection makes the server roll back.
            self.client._connection.terminate()
        if not self.client._finalized:
            self.client._finalized = self.client._was_rolled_back = True
        client = self.client._parent
        if self.client.is_session_unchanged():
            client.note_unchanged(self.client._connection)
        await client.release(self.client._connection)


class Client(PooledClient):
    """The client, with transactions."""

    def _in_transaction(self) -> TransactionContext:
        return PooledTransaction(Transaction(self), self._pool_init_lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run a statement once for each row of values, in one transaction."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


client_class = Client
