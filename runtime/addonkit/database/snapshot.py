"""Consistent reads: a read transaction sees the state at its first query, while others write."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.sql import on_postgres, prepared
from addonkit.database.sqlite import ImmediateTransaction, LockedTransaction, sqlite_errors


class ReadTransaction(ImmediateTransaction):
    """An SQLite transaction that does not take the write lock; its snapshot begins with the first read."""

    async def begin(self) -> None:
        """Begin the transaction.

        Raises:
            DatabaseUnavailable: The file cannot be read.
        """
        with sqlite_errors():
            await self._connection.commit()
            await self._connection.execute("BEGIN")


@asynccontextmanager
async def snapshot() -> AsyncIterator[BaseDBAsyncClient]:
    """Open a read transaction; all queries in it, including those of models, see the state at the first one."""
    client: Any = get_connection(CONNECTION)
    if not on_postgres():
        async with LockedTransaction(ReadTransaction(client), client._lock) as transaction:  # noqa: SLF001 - as sqlite.Client
            yield transaction
        return
    async with in_transaction(CONNECTION) as transaction:
        await transaction.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield transaction


async def fetch_batches(
    client: BaseDBAsyncClient, size: int, statement: str, *values: object
) -> AsyncGenerator[Sequence[Sequence[Any]], None]:
    """Fetch the rows of a statement in batches through a cursor, to limit the memory for a large table.

    Args:
        client: The transaction of a snapshot; PostgreSQL allows cursors in transactions only.
        size: Maximum number of rows per batch.
        statement: The statement, with ``?`` for each value.
        values: The values.
    """
    query = prepared(statement)
    async with client.acquire_connection() as connection:
        if on_postgres():
            # imported here, because SQLite does not need asyncpg
            from addonkit.database.postgres_errors import postgres_errors

            with postgres_errors():
                cursor = await connection.cursor(query, *values)
                while batch := await cursor.fetch(size):
                    yield batch
            return
        with sqlite_errors():
            async with connection.execute(query, values) as cursor:
                while batch := await cursor.fetchmany(size):
                    yield batch
