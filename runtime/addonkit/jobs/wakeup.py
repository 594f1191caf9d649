"""Telling those who work that there is something to do: in this process at once, in others by the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tortoise.connection import get_connection

from addonkit.database import CONNECTION
from addonkit.database.sql import on_postgres
from addonkit.tenancy.notifications import WORK_CHANNEL

_listeners: list[Callable[[], None]] = []


@contextmanager
def subscribe(listener: Callable[[], None]) -> Iterator[None]:
    """Call a function whenever there is work, for the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def notify_local() -> None:
    """Tell those in this process."""
    for listener in _listeners:
        listener()


async def notify_all() -> None:
    """Tell everybody; in a transaction, once it is kept."""
    if on_postgres():
        await get_connection(CONNECTION).execute_query("SELECT pg_notify($1, '')", [WORK_CHANNEL])
    notify_local()
