# ruff: noqa: SLF001 - the connection of a transaction is private in Tortoise; Tortoise's own contexts use it as well
"""Tortoise's client for PostgreSQL: it sets up each connection for the current task and detects lost connections.

Tortoise finds it by its module name and ``client_class``. It differs from Tortoise's own client in three points:

- A connection gets the settings of the current task when it is taken from the pool, for the policies of row-level
  security. The pool resets them when the connection is returned.
- Errors that mean an unavailable database become ``DatabaseUnavailable``. The pool recovers by itself: the next task
  that needs a connection replaces a lost one.
- A transaction belongs to the task that began it, see ``task_bound``; its end waits for statements of other tasks.
- A transaction that cannot begin returns its connection to the pool. A transaction that lost its connection raises that
  error only, and not a second one from its rollback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections
from tortoise.exceptions import BaseORMException, TransactionManagementError

from addonkit.database.connection_use import ConnectionUse
from addonkit.database.errors import DatabaseUnavailable
from addonkit.database.postgres_errors import UNAVAILABLE, ServerReadOnly, postgres_errors
from addonkit.database.server_connection import Connector
from addonkit.database.task_bound import NestedTransaction, TaskBound, TransactionConnection, TransactionMisused, leave

ACQUIRE_TIMEOUT_S = 5.0
"""Maximum wait for a free connection, or for a new one if all are lost."""
CONNECT_TIMEOUT_S = 5.0
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


class Client(AsyncpgDBClient):
    """A pool of connections to one database.

    Args:
        connection_name: Tortoise's name of the connection.
        dsn: URL of the database.
        pool_size: Maximum number of connections.
        command_timeout_s: Maximum time of one statement in seconds; None: unlimited.
        session: Returns a connection's settings for the current task; names and values contain plain characters only.
    """

    def __init__(
        self,
        connection_name: str,
        dsn: str,
        pool_size: int,
        command_timeout_s: float | None,
        session: Callable[[], Mapping[str, str]],
    ) -> None:
        super().__init__(connection_name=connection_name)
        self._session = session
        self._waiting = 0
        self._dsn, self._pool_size, self._command_timeout_s = dsn, pool_size, command_timeout_s

    async def _translate_exceptions(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        try:
            with postgres_errors():
                return await func(self, *args, **kwargs)
        except ServerReadOnly:
            await self.expire_connections()
            raise

    async def expire_connections(self) -> None:
        """Replace each connection when it is used next: the server has become a standby, and another one is primary."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def create_connection(self, with_db: bool) -> None:
        """Create the pool; it opens connections on demand."""
        # min_size=0, because asyncpg logs each failed attempt to restore a connection below the minimum.
        connector = Connector(self._dsn)
        self._pool = await asyncpg.create_pool(
            connect=lambda _dsn, **options: connector.connect(**options),
            min_size=0,
            max_size=self._pool_size,
            setup=self._set_session,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=self._command_timeout_s,
            server_settings={"application_name": "addonkit"},
        )
        await self._post_connect()

    async def _set_session(self, connection: PoolConnectionProxy) -> None:
        for name, value in self._session().items():
            # SET takes no parameters.
            if not (PLAIN.fullmatch(name) and PLAIN.fullmatch(value)):
                raise ValueError(f"the session setting '{name}' has other characters than A-Z a-z 0-9 _ . -")
            try:
                await connection.execute(f"SET {name} = '{value}'")
            except BaseException:
                # The pool would wait for a server that may be lost to confirm the end of the connection.
                connection.terminate()
                raise

    async def acquire(self) -> PoolConnectionProxy:
        """Take a connection from the pool, with the settings of the current task.

        Raises:
            DatabaseUnavailable: No connection was free in time, and none could be opened.
        """
        if self._pool is None:
            async with self._pool_init_lock:
                if self._pool is None:
                    await self.create_connection(with_db=True)
        assert self._pool is not None  # noqa: S101 - create_connection() sets it; for the type checker
        self._waiting += 1
        try:
            with postgres_errors():
                return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except DatabaseUnavailable:
            # A missing socket fails immediately. Without this, a caller that retries in a loop would block the loop.
            await asyncio.sleep(0)
            raise
        finally:
            self._waiting -= 1

    def connection_use(self) -> ConnectionUse:
        """Return how many connections of the pool are in use."""
        pool = self._pool
        in_use = 0 if pool is None else pool.get_size() - pool.get_idle_size()
        return ConnectionUse(in_use, self._waiting, self._pool_size)

    async def release(self, connection: PoolConnectionProxy) -> None:
        """Return a connection to the pool; a connection that cannot be reset is closed, without an error."""
        if self._pool is not None:
            with suppress(*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection)

    def acquire_connection(self) -> PoolConnectionWrapper[Any]:
        """Return the context manager for a statement outside a transaction."""
        return StatementConnection(self, self._pool_init_lock)

    def _in_transaction(self) -> TransactionContext:
        return PooledTransaction(Transaction(self), self._pool_init_lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run a statement once for each row of values, in one transaction."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


class StatementConnection(PoolConnectionWrapper[Any]):
    """A pooled connection during one statement."""

    __slots__ = ()
    client: Client

    async def __aenter__(self) -> Any:
        self.connection = await self.client.acquire()
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        await self.client.release(self.connection)


class Transaction(TaskBound, TransactionWrapper):
    """One connection during a transaction or a savepoint."""

    # Whether a statement failed. PostgreSQL then refuses all further ones, and COMMIT rolls back without an error.
    _failed = False
    # The client, or the outer transaction of a savepoint.
    _parent: Client

    def __init__(self, connection: AsyncpgDBClient) -> None:
        super().__init__(connection)
        self.after_commit: list[Callable[[], None]] = []
        self.nested: list[TaskBound] = []

    async def _translate_exceptions(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], str):
            self.note_statement(args[0])
        try:
            with postgres_errors():
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
            with postgres_errors():
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
        await self.client._parent.release(self.client._connection)


client_class = Client
