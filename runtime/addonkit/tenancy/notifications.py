"""How a process hears that another one has changed a site, within two seconds.

On PostgreSQL each change sends a notification in its own transaction, and a connection of its own hears it; where none
can be heard, everything kept in memory is dropped each second instead. On SQLite the file itself is asked whether
somebody else has written to it. What is done about a change is up to the caller.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from tortoise.connection import get_connection

from addonkit.database import CONNECTION
from addonkit.database.errors import error_summary
from addonkit.database.location import Location
from addonkit.errors import AddonkitError
from addonkit.log import structlog

if TYPE_CHECKING:
    import asyncpg

    from addonkit.database.sqlite import Client

CHANNEL = "addonkit_tenant"
WORK_CHANNEL = "addonkit_job"
# One beat and one answer in vain are less than two seconds.
BEAT_S = 0.7
ANSWER_S = 1.0
CONNECT_S = 5.0
# How many beats there are between two proofs that notifications still come through.
PROVE_EVERY = 40
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

Changed = Callable[[str | None], None]
"""Told the client key of a site that was changed, or None where it may have been any."""

log = structlog.get_logger(__name__)


class NothingHeard(AddonkitError):
    """A notification that this process sent to itself did not come back."""


async def announce(client_key: str) -> None:
    """Tell all processes that a site changes; called in the transaction that changes it, and heard if that is kept."""
    connection = get_connection(CONNECTION)
    if connection.capabilities.dialect == "postgres":
        await connection.execute_query("SELECT pg_notify($1, $2)", [CHANNEL, client_key])


async def watch(
    location: Location, changed: Changed, clear: Callable[[], None], work: Callable[[], None] = lambda: None
) -> None:
    """Tell of changes until cancelled; the database is open.

    Args:
        location: The database.
        changed: Told of each change.
        clear: Called each second while nothing can be heard.
        work: Called when another process has put something into the queue.
    """
    await (Ear(location.url, changed, clear, work).listen() if location.is_postgres else look(changed, clear))


async def look(changed: Changed, clear: Callable[[], None]) -> None:
    """Ask the open SQLite file whether other connections have written to it, until cancelled."""
    seen = None
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                now = await cast("Client", get_connection(CONNECTION)).data_version()
        except Exception:
            # whatever keeps it from answering: nothing was seen
            clear()
        else:
            if now != seen:
                changed(None)
            seen = now
        await asyncio.sleep(BEAT_S)


class Ear:
    """Hears what is announced on PostgreSQL.

    Args:
        url: The database's; the way there must keep to one connection, which a pooler in transaction mode does not.
        changed: Told of each change.
        clear: Called each second while nothing can be heard.
        work: Called when something was put into the queue.
    """

    def __init__(
        self, url: str, changed: Changed, clear: Callable[[], None], work: Callable[[], None] = lambda: None
    ) -> None:
        self._url, self._changed, self._clear, self._work = url, changed, clear, work
        self._echo = f"addonkit_echo_{secrets.token_hex(8)}"
        self._echoed = asyncio.Event()
        self._lost = asyncio.Event()
        self._lost.set()

    async def listen(self) -> None:
        """Hear until cancelled: a connection that is lost is made again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._clear_while_deaf())
            tasks.create_task(self._stay_connected())

    async def _clear_while_deaf(self) -> None:
        while True:
            await self._lost.wait()
            self._clear()
            await asyncio.sleep(BEAT_S)

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            reason = await self._hear()
            self._lost.set()
            failures = 0 if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S else failures + 1
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
            log.warning("tenants.deaf", reason=reason, again_in_s=pause)
            await asyncio.sleep(pause)

    async def _hear(self) -> str:
        """Hear until the connection is of no more use; give why."""
        import asyncpg  # here, for SQLite needs none of it

        from addonkit.database.postgres import UNAVAILABLE

        try:
            async with self._connected() as connection:
                await self._prove(connection)
                self._lost.clear()
                # What was changed until this moment was heard by nobody.
                self._changed(None)
                await self._beat(connection)
        except (*UNAVAILABLE, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, NothingHeard) as exc:
            return error_summary(exc)
        return "the connection was closed"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection that listens."""
        import asyncpg

        settings = {"application_name": "addonkit changes"}
        connection = await asyncpg.connect(self._url, timeout=CONNECT_S, server_settings=settings)
        try:
            connection.add_termination_listener(lambda _: self._lost.set())
            async with asyncio.timeout(CONNECT_S):
                await connection.add_listener(CHANNEL, self._told)
                await connection.add_listener(WORK_CHANNEL, self._told)
                await connection.add_listener(self._echo, self._told)
            yield connection
        finally:
            # Without a word to a server that may not be there any more.
            connection.terminate()

    def _told(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        if channel == self._echo:
            self._echoed.set()
        elif channel == WORK_CHANNEL:
            self._work()
        else:
            self._changed(str(payload))

    async def _beat(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """See again and again that the connection is there."""
        beats = 0
        while not self._lost.is_set():
            beats += 1
            if beats % PROVE_EVERY == 0:
                await self._prove(connection)
            else:
                async with asyncio.timeout(ANSWER_S):
                    await connection.execute("SELECT 1")
            await asyncio.sleep(BEAT_S)

    async def _prove(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """See that notifications come through.

        Raises:
            NothingHeard: They do not.
        """
        self._echoed.clear()
        await connection.execute("SELECT pg_notify($1, '')", self._echo, timeout=ANSWER_S)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._echoed.wait()
        except TimeoutError:
            raise NothingHeard(
                "notifications of the database do not come through; let [database] url lead to the server itself, or "
                "to a pooler that keeps one connection for each session"
            ) from None
