"""Notifies processes of changed tenants within two seconds: NOTIFY on PostgreSQL, polling on SQLite.

On PostgreSQL each change sends NOTIFY in its own transaction, and every process runs LISTEN on a separate connection.
While that connection is lost, ``on_disconnected`` is called at each heartbeat. On SQLite each process polls the file's
``data_version``. The caller decides what to do about a change.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from tortoise.connection import get_connection

from addonkit.backoff import backoff_s
from addonkit.database import CONNECTION
from addonkit.database.errors import error_summary
from addonkit.database.location import Location
from addonkit.database.sql import fetch, on_postgres
from addonkit.errors import AddonkitError
from addonkit.log import structlog

if TYPE_CHECKING:
    import asyncpg

    from addonkit.database.sqlite import Client

CHANNEL = "addonkit_tenant"
WORK_CHANNEL = "addonkit_job"
# One heartbeat and one missing answer together are less than two seconds.
HEARTBEAT_S = 0.7
ANSWER_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_S = 5.0
ECHO_EVERY = 40
"""Number of heartbeats between two checks that notifications still arrive."""
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 10.0

OnChange = Callable[[str | None], None]
"""Called with the client key of a changed tenant, or None if any tenant may have changed."""

log = structlog.get_logger(__name__)


class NotificationsLost(AddonkitError):
    """A notification that this process sent to itself did not arrive."""


async def notify_change(tenant_key: str) -> None:
    """Notify all processes of a changed tenant. Call it in the transaction; PostgreSQL sends it after the commit."""
    if on_postgres():
        await fetch("SELECT pg_notify(?, ?)", [CHANNEL, tenant_key])


async def watch_changes(
    location: Location,
    on_change: OnChange,
    on_disconnected: Callable[[], None],
    on_work: Callable[[], None] = lambda: None,
) -> None:
    """Report changes by other processes until cancelled; the database must be open.

    Args:
        location: The database.
        on_change: Called for each change.
        on_disconnected: Called at each heartbeat while changes cannot be received.
        on_work: Called when another process has enqueued a job.
    """
    if location.is_postgres:
        await ChangeListener(location.url, on_change, on_disconnected, on_work).listen()
    else:
        await poll_data_version(on_change, on_disconnected)


async def poll_data_version(on_change: OnChange, on_disconnected: Callable[[], None]) -> None:
    """Poll ``data_version`` for writes by other connections to the open SQLite file, until cancelled."""
    seen = None
    while True:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                now = await cast("Client", get_connection(CONNECTION)).data_version()
        except Exception:
            # any error: changes may have been missed
            on_disconnected()
        else:
            if now != seen:
                on_change(None)
            seen = now
        await asyncio.sleep(HEARTBEAT_S)


class ChangeListener:
    """Listens for notifications on a PostgreSQL connection of its own, and reconnects with back-off.

    Args:
        url: The database's URL; a pooler in transaction mode does not work, since LISTEN needs a lasting connection.
        on_change: Called for each change.
        on_disconnected: Called at each heartbeat while the connection is lost.
        on_work: Called when another process has enqueued a job.
    """

    def __init__(
        self,
        url: str,
        on_change: OnChange,
        on_disconnected: Callable[[], None],
        on_work: Callable[[], None] = lambda: None,
    ) -> None:
        self._url, self._on_change, self._on_disconnected, self._on_work = url, on_change, on_disconnected, on_work
        self._echo_channel = f"addonkit_echo_{secrets.token_hex(8)}"
        self._echoed = asyncio.Event()
        self._lost = asyncio.Event()
        self._lost.set()

    async def listen(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_disconnected())
            tasks.create_task(self._stay_connected())

    async def _report_disconnected(self) -> None:
        while True:
            await self._lost.wait()
            self._on_disconnected()
            await asyncio.sleep(HEARTBEAT_S)

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            reason = await self._listen_once()
            self._lost.set()
            failures = 0 if asyncio.get_running_loop().time() - began > MAX_PAUSE_S else failures + 1
            pause = backoff_s(max(failures, 1), first_s=FIRST_PAUSE_S, longest_s=MAX_PAUSE_S)
            log.warning("tenants.notifications_lost", reason=reason, retry_in_s=round(pause, 2))
            await asyncio.sleep(pause)

    async def _listen_once(self) -> str:
        """Listen until the connection fails; return the reason."""
        import asyncpg  # imported here, because SQLite does not need it

        from addonkit.database.postgres_errors import UNAVAILABLE

        try:
            async with self._connected() as connection:
                await self._check_echo(connection)
                self._lost.clear()
                # Changes before this moment were not received.
                self._on_change(None)
                await self._heartbeat(connection)
        except (*UNAVAILABLE, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, NotificationsLost) as exc:
            return error_summary(exc)
        return "the connection was closed"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Open a connection that listens on all channels."""
        from addonkit.database.server_connection import connect

        settings = {"application_name": "addonkit changes"}
        connection = await connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
        try:
            connection.add_termination_listener(lambda _: self._lost.set())
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.add_listener(CHANNEL, self._on_notification)
                await connection.add_listener(WORK_CHANNEL, self._on_notification)
                await connection.add_listener(self._echo_channel, self._on_notification)
            yield connection
        finally:
            # Not close(), which waits for a server that may be gone.
            connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        if channel == self._echo_channel:
            self._echoed.set()
        elif channel == WORK_CHANNEL:
            self._on_work()
        else:
            self._on_change(str(payload))

    async def _heartbeat(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Check the connection at each heartbeat, and at some heartbeats that notifications arrive."""
        beats = 0
        while not self._lost.is_set():
            beats += 1
            if beats % ECHO_EVERY == 0:
                await self._check_echo(connection)
            else:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await connection.execute("SELECT 1")
            await asyncio.sleep(HEARTBEAT_S)

    async def _check_echo(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Send a notification to this process and wait for it.

        Raises:
            NotificationsLost: It did not arrive.
        """
        self._echoed.clear()
        await connection.execute("SELECT pg_notify($1, '')", self._echo_channel, timeout=ANSWER_TIMEOUT_S)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._echoed.wait()
        except TimeoutError:
            raise NotificationsLost(
                "notifications of the database do not arrive; set [database] url to the server itself, or to a pooler "
                "in session mode"
            ) from None
