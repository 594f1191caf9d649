# ruff: noqa: SLF001 - what a transaction holds has no public name in Tortoise, whose own contexts reach for it as well
"""Tortoise's client for PostgreSQL: it sets up each connection for the current task and detects lost connections.

Tortoise finds it by its module name and ``client_class``. What differs from the client it is made from:

- A connection gets the settings of the current task when it is taken from the pool, for the policies of row-level
  security. The pool resets them when the connection is returned.
- Whatever means that the database is away becomes ``DatabaseLost``. The pool mends itself: a connection that was lost
  is replaced by the next one who asks.
- A transaction that cannot begin gives its connection back; one whose connection was lost ends without a second fault.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
from asyncpg.exceptions import _base as client_side
from asyncpg.pool import PoolConnectionProxy
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    NestedTransactionContext,
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections
from tortoise.exceptions import BaseORMException, IntegrityError, OperationalError, TransactionManagementError

from addonkit.database.errors import DatabaseLost, ValueUnstorable, lost

# For a free connection, or a new one where all are lost.
ACQUIRE_S = 5.0
CONNECT_S = 5.0
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # the server we wrote to is a standby now
    asyncpg.ReadOnlySQLTransactionError,
    # a migration of another process has changed what this connection had prepared
    asyncpg.InvalidCachedStatementError,
    # what came over the wire was cut off
    asyncpg.InternalClientError,
    OSError,
)


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turn what asyncpg raises into Tortoise's errors, or into ``DatabaseLost``."""
    try:
        yield
    except DatabaseLost:
        raise
    except AWAY as exc:
        raise lost(exc) from exc
    except asyncpg.IntegrityConstraintViolationError as exc:
        raise IntegrityError(exc) from exc
    except asyncpg.InvalidTransactionStateError as exc:
        raise TransactionManagementError(exc) from exc
    except (asyncpg.DataError, client_side.DataError) as exc:
        raise ValueUnstorable(exc) from exc
    except asyncpg.PostgresError as exc:
        raise OperationalError(exc) from exc
    except asyncpg.InterfaceError as exc:
        # The one class for a connection that is gone and for a call that is wrong.
        if any(word in str(exc) for word in ("closed", "closing", "released")):
            raise lost(exc) from exc
        raise OperationalError(exc) from exc


class Client(AsyncpgDBClient):
    """A pool of connections to one database.

    Args:
        connection_name: Tortoise's name for it.
        dsn: Its URL.
        pool_size: Most connections.
        command_timeout_s: Longest time that one statement may take; None: no bound.
        session: Gives the settings of a connection for the current task, names and values of plain characters.
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
        self._dsn, self._pool_size, self._command_timeout_s = dsn, pool_size, command_timeout_s

    async def _translate_exceptions(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        with postgres_errors():
            return await func(self, *args, **kwargs)

    async def create_connection(self, with_db: bool) -> None:
        """Make the pool; it connects when it is first asked."""
        # Not one connection is kept for its own sake: asyncpg would report each of its attempts to restore it.
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._pool_size,
            setup=self._set_session,
            timeout=CONNECT_S,
            command_timeout=self._command_timeout_s,
            server_settings={"application_name": "addonkit"},
        )
        await self._post_connect()

    async def _set_session(self, connection: PoolConnectionProxy) -> None:
        for name, value in self._session().items():
            # SET takes no parameters.
            if not (PLAIN.fullmatch(name) and PLAIN.fullmatch(value)):
                raise ValueError(f"the session setting '{name}' has other characters than A-Z a-z 0-9 _ . -")
            await connection.execute(f"SET {name} = '{value}'")

    async def take(self) -> PoolConnectionProxy:
        """Give a connection from the pool, with the settings of the current task.

        Raises:
            DatabaseLost: None was free or could be made in time.
        """
        if self._pool is None:
            async with self._pool_init_lock:
                if self._pool is None:
                    await self.create_connection(with_db=True)
        assert self._pool is not None  # noqa: S101 - for the type checker, it was made above
        try:
            with postgres_errors():
                return await self._pool.acquire(timeout=ACQUIRE_S)
        except DatabaseLost:
            # A socket that is not there fails at once: who tries again in a loop would let nobody else run.
            await asyncio.sleep(0)
            raise

    async def give_back(self, connection: PoolConnectionProxy) -> None:
        """Put a connection back; one that cannot be cleaned is closed, which is no fault of what was done with it."""
        if self._pool is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection)

    def acquire_connection(self) -> PoolConnectionWrapper[Any]:
        """Give the context manager that every statement outside a transaction runs in."""
        return Borrowed(self, self._pool_init_lock)

    def _in_transaction(self) -> TransactionContext:
        return PooledTransaction(Transaction(self), self._pool_init_lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run one statement for each row of values, all or none."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


class Borrowed(PoolConnectionWrapper[Any]):
    """A connection for one statement."""

    __slots__ = ()
    client: Client

    async def __aenter__(self) -> Any:
        self.connection = await self.client.take()
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        await self.client.give_back(self.connection)


class Transaction(TransactionWrapper):
    """One connection while a transaction, or a part of one, lasts."""

    # Whether a statement failed, after which PostgreSQL takes no other and answers COMMIT with a silent rollback.
    _stumbled = False
    # Or that of which it is a part.
    _parent: Client

    async def _translate_exceptions(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        try:
            with postgres_errors():
                return await func(self, *args, **kwargs)
        except BaseORMException:
            self._stumbled = True
            raise

    def acquire_connection(self) -> Any:
        """Give the context manager that every statement runs in; a task that outlives the transaction is on its own."""
        return self._parent.acquire_connection() if self._finalized else super().acquire_connection()

    def _in_transaction(self) -> TransactionContext:
        if self._finalized:
            return self._parent._in_transaction()
        return NestedTransactionContext(Transaction(self))

    async def commit(self) -> None:
        """Put it on disk.

        Raises:
            TransactionManagementError: A statement had failed and its error was swallowed; nothing is stored.
        """
        with postgres_errors():
            if self._stumbled:
                await self._check_sound()
            await super().commit()

    async def _check_sound(self) -> None:
        try:
            await self._connection.execute("SELECT 1")
        except asyncpg.InFailedSQLTransactionError as exc:
            await self.rollback()
            raise TransactionManagementError(
                "a statement of this transaction failed, so that nothing of it is stored; let its error out, or run "
                "it in a transaction of its own inside this one"
            ) from exc

    async def rollback(self) -> None:
        """Undo it; a connection that is gone has done so already."""
        if _is_gone(self._connection):
            self._finalized = True
            return
        with postgres_errors():
            await super().rollback()


def _is_gone(connection: PoolConnectionProxy) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # The pool took it back when it was lost.
        return True


class PooledTransaction(TransactionContextPooled):
    """Holds a connection for one transaction, and gives it back whatever happens."""

    __slots__ = ()
    client: Transaction

    async def __aenter__(self) -> TransactionalDBClient:
        self.client._connection = await self.client._parent.take()
        self.token = get_connections().set(self.connection_name, self.client)
        try:
            await self.client.begin()
        except BaseException:
            await self._end()
            raise
        return self.client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if self.client._finalized:
                return
            if kind is None:
                await self.client.commit()
            else:
                await self.client.rollback()
        finally:
            await self._end()

    async def _end(self) -> None:
        get_connections().reset(self.token)
        if not self.client._finalized and not _is_gone(self.client._connection):
            # Nobody knows how far it came, as after a cancelled BEGIN: the server undoes it when it is hung up on.
            self.client._connection.terminate()
        await self.client._parent.give_back(self.client._connection)


client_class = Client
