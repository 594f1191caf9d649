"""Detects a connection pooler that gives a connection another session of the server for each transaction.

PgBouncer does so in transaction and statement mode, which its version or its settings do not tell. Two connections
therefore ask in turn which session they are in. Through such a pooler both are in the same one, or one of them changes
its session, sooner or later; without one, neither is possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from addonkit.database.location import Location
from addonkit.database.server_url import parse_server_url

if TYPE_CHECKING:
    import asyncpg

TIMEOUT_S = 5.0
ORDER = (0, 1, 1, 0, 1, 0, 0, 1)
"""The connections that ask, one after another: whichever idle session the pooler chooses, two answers contradict."""
SESSION = "SELECT pg_backend_pid() AS process, pg_postmaster_start_time() AS started"
LOST = (
    "session settings such as the current tenant, notifications and prepared statements are lost between transactions; "
    "connect to the server directly, or set pool_mode = session"
)
STATEMENTS_LOST = f"a connection pooler in transaction mode is between addonkit and the server: {LOST}"
"""The meaning of the server's errors about prepared statements that it does not know, or knows already."""


class Pooler(NamedTuple):
    """A connection pooler that a URL of the database leads to.

    Attributes:
        key: The setting in ``[database]`` with the URL.
        url: The URL without a password.
        mode: ``transaction``, or ``statement``, in which no transaction is possible.
    """

    key: str
    url: str
    mode: str

    def __str__(self) -> str:
        """Describe the pooler and what to do."""
        return f"[database] {self.key} '{self.url}' leads to a connection pooler in {self.mode} mode: {LOST}"


async def find_pooler(location: Location) -> Pooler | None:
    """Return the pooler in transaction or statement mode that a URL of the database leads to; None without one.

    A server that does not answer is no pooler: other checks report it.
    """
    urls = {"url": location.url, "owner_url": location.owner_url} if location.is_postgres else {}
    for key, url in urls.items():
        if url is not None and (key == "url" or url != location.url) and (mode := await pool_mode(url)):
            return Pooler(key, str(parse_server_url(url, key)), mode)
    return None


def find_pooler_in_thread(location: Location) -> Pooler | None:
    """Call :func:`find_pooler` in a thread, since the calling one may already run an event loop."""
    if not location.is_postgres:
        return None
    with ThreadPoolExecutor(1, "pooler") as thread:
        return thread.submit(lambda: asyncio.run(find_pooler(location))).result()


async def pool_mode(url: str) -> str | None:
    """Return ``transaction`` or ``statement`` if connections to a PostgreSQL URL share sessions of the server.

    Returns:
        The mode of the pooler; None if each connection has a session of its own, or if that cannot be found out.
    """
    import asyncpg  # imported here, because SQLite does not need it

    from addonkit.database.server_connection import Connector

    # Without a cache, statements have no names, which could exist already in a shared session.
    connect = partial(Connector(url).connect, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S, statement_cache_size=0)
    try:
        async with asyncio.timeout(2 * TIMEOUT_S), AsyncExitStack() as stack:
            first = await connect()
            stack.callback(first.terminate)
            second = await connect()
            stack.callback(second.terminate)
            return "transaction" if await _share_sessions((first, second)) else None
    except asyncpg.PostgresError as exc:
        # In statement mode, PgBouncer refuses transactions.
        return "statement" if "statement pooling" in str(exc) else None
    except (asyncpg.InterfaceError, OSError, TimeoutError):
        return None


async def _share_sessions(connections: Sequence[asyncpg.Connection]) -> bool:
    sessions: dict[int, tuple[object, ...]] = {}
    for index in ORDER:
        # All messages of a transaction reach the same session.
        async with connections[index].transaction():
            row = await connections[index].fetchrow(SESSION)
        session = (row["process"], row["started"])
        if sessions.setdefault(index, session) != session or sessions.get(1 - index) == session:
            return True
    return False
