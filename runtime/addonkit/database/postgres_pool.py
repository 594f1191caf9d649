"""The pool of connections to PostgreSQL.

A connection gets the settings of the current task when it is taken from the pool, for the policies of row-level
security. The pool resets them when the connection is returned. The pool recovers by itself: the next task that needs a
connection replaces a lost one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.base.client import PoolConnectionWrapper

from addonkit.database.connection_use import ConnectionUse
from addonkit.database.errors import DatabaseUnavailable
from addonkit.database.postgres_errors import UNAVAILABLE, ServerReadOnly, postgres_errors
from addonkit.database.server_connection import Connector
from addonkit.database.statement_span import BEGIN, POSTGRESQL, statement_span
from addonkit.spans import Tracer

ACQUIRE_TIMEOUT_S = 5.0
"""Maximum wait for a free connection, or for a new one if all are lost."""
CONNECT_TIMEOUT_S = 5.0
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def running(tracer: Tracer | None, query: object = BEGIN, *_values: Any, **_named: Any) -> AbstractContextManager[None]:
    """Return the block in which a statement runs: it converts errors, and records a span if tracing is on."""
    return postgres_errors() if tracer is None else _traced(tracer, query)


@contextmanager
def _traced(tracer: Tracer, query: object) -> Iterator[None]:
    with statement_span(tracer, POSTGRESQL, query if isinstance(query, str) else BEGIN), postgres_errors():
        yield


class SessionConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """asyncpg's class, which the pool resets when it is returned, unless nothing in its session has changed."""

    _is_unchanged = False

    def note_unchanged(self) -> None:
        """Note that the session is as it was when the connection was taken from the pool."""
        self._is_unchanged = True

    async def reset(self, *, timeout: float | None = None) -> None:
        """Reset the session; if it is unchanged, only the next time."""
        if self._is_unchanged:
            self._is_unchanged = False
        else:
            await super().reset(timeout=timeout)


class PooledClient(AsyncpgDBClient):
    """Runs single statements, each on a connection of a pool to one database.

    Args:
        connection_name: Tortoise's name of the connection.
        dsn: URL of the database.
        pool_size: Maximum number of connections.
        command_timeout_s: Maximum time of one statement in seconds; None: unlimited.
        session: Returns a connection's settings for the current task; names and values contain plain characters only.

    Attributes:
        tracer: Records a span of each statement; None unless tracing is on.
    """

    tracer: Tracer | None = None

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
            with running(self.tracer, *args, **kwargs):
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
            connection_class=SessionConnection,
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

    async def fetch_alone(self, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Run a SELECT that changes nothing in its session, and return the connection without resetting it.

        Args:
            statement: A fixed statement, with ``$1`` for the first value.
            values: Its values.

        Raises:
            DatabaseUnavailable: The database did not answer.
        """
        connection = await self.acquire()
        try:
            with postgres_errors():
                rows = await connection.fetch(statement, *values)
            self.note_unchanged(connection)
            return [dict(row) for row in rows]
        finally:
            await self.release(connection)

    def note_unchanged(self, connection: PoolConnectionProxy) -> None:
        """Note that what the current task ran on a connection has changed nothing in its session."""
        # With settings for row-level security, the session was changed when the connection was taken from the pool.
        if not self._session():
            connection.note_unchanged()

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


class StatementConnection(PoolConnectionWrapper[Any]):
    """A pooled connection during one statement."""

    __slots__ = ()
    client: PooledClient

    async def __aenter__(self) -> Any:
        self.connection = await self.client.acquire()
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        await self.client.release(self.connection)
