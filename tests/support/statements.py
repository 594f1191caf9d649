"""Statements that the open database executes, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tortoise.connection import get_connection

BACKGROUND = ("addonkit_job", "addonkit_schedule", "data_version")


@asynccontextmanager
async def recorded_statements() -> AsyncIterator[list[str]]:
    """Record the statements of the block, without those of the queue and of notifications."""
    recorded: list[str] = []

    def record(statement: str) -> None:
        # The dispatcher and the notifications run at any time.
        if not any(word in statement for word in BACKGROUND):
            recorded.append(statement)

    client = get_connection("default")
    async with _record_pool(client, record) if hasattr(client, "acquire") else _record_connection(client, record):
        yield recorded


@asynccontextmanager
async def _record_connection(client: Any, record: Any) -> AsyncIterator[None]:
    await client._connection.set_trace_callback(record)
    yield
    await client._connection.set_trace_callback(None)


@asynccontextmanager
async def _record_pool(client: Any, record: Any) -> AsyncIterator[None]:
    acquire, release = client.acquire, client.release

    def record_query(logged: Any) -> None:
        record(logged.query)

    async def recorded_acquire() -> Any:
        connection = await acquire()
        connection.add_query_logger(record_query)
        return connection

    async def recorded_release(connection: Any) -> None:
        connection.remove_query_logger(record_query)
        await release(connection)

    client.acquire, client.release = recorded_acquire, recorded_release
    yield
    del client.acquire, client.release
