"""Reading a database as it was at one moment, for as long as it takes, while others write."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.sql import on_postgres
from addonkit.database.sqlite import LockedTransaction, WritingTransaction, sqlite_errors


class ReadingTransaction(WritingTransaction):
    """A transaction of SQLite that lets others write beside it; it takes its view at the first read."""

    async def begin(self) -> None:
        """Start it.

        Raises:
            DatabaseLost: The file cannot be read.
        """
        with sqlite_errors():
            await self._connection.commit()
            await self._connection.execute("BEGIN")


@asynccontextmanager
async def snapshot() -> AsyncIterator[BaseDBAsyncClient]:
    """Give a client whose every query sees the database as it was at the first of them; also what Tortoise asks."""
    client: Any = get_connection(CONNECTION)
    if not on_postgres():
        async with LockedTransaction(ReadingTransaction(client), client._lock) as reading:  # noqa: SLF001 - as sqlite.Client
            yield reading
        return
    async with in_transaction(CONNECTION) as reading:
        await reading.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield reading


async def in_batches(
    client: BaseDBAsyncClient, size: int, query: str, *values: object
) -> AsyncGenerator[Sequence[Sequence[Any]], None]:
    """Give the rows of a query so many at a time, so that a large table needs little memory.

    Args:
        client: Of a snapshot: on PostgreSQL this wants a transaction.
        size: Most rows that are given at once.
        query: What is asked.
        values: What stands for its parameters.
    """
    async with client.acquire_connection() as connection:
        if on_postgres():
            # here, for only PostgreSQL wants it
            from addonkit.database.postgres import postgres_errors

            with postgres_errors():
                cursor = await connection.cursor(query, *values)
                while batch := await cursor.fetch(size):
                    yield batch
            return
        with sqlite_errors():
            async with connection.execute(query, values) as cursor:
                while batch := await cursor.fetchmany(size):
                    yield batch
