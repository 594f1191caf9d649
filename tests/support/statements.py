"""What the open database is asked to do, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tortoise.connection import get_connection

OWN = ("addonkit_job", "addonkit_schedule", "data_version")


@asynccontextmanager
async def listened() -> AsyncIterator[list[str]]:
    """The statements that the database runs meanwhile; what the queue and the pool do by themselves is left out."""
    seen: list[str] = []

    def note(statement: str) -> None:
        # the queue is looked at whenever it likes, and so are others' changes
        if not any(word in statement for word in OWN):
            seen.append(statement)

    client = get_connection("default")
    async with _heard_by_pool(client, note) if hasattr(client, "take") else _heard_by_file(client, note):
        yield seen


@asynccontextmanager
async def _heard_by_file(client: Any, note: Any) -> AsyncIterator[None]:
    await client._connection.set_trace_callback(note)
    yield
    await client._connection.set_trace_callback(None)


@asynccontextmanager
async def _heard_by_pool(client: Any, note: Any) -> AsyncIterator[None]:
    acquire, release = client.acquire, client.release

    def heard(record: Any) -> None:
        note(record.query)

    async def acquire_heard() -> Any:
        connection = await acquire()
        connection.add_query_logger(heard)
        return connection

    async def release_heard(connection: Any) -> None:
        connection.remove_query_logger(heard)
        await release(connection)

    client.acquire, client.release = acquire_heard, release_heard
    yield
    del client.acquire, client.release
