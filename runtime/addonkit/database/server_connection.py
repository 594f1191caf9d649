# ruff: noqa: SLF001 - asyncpg has no other way to its socket
"""Connects to PostgreSQL: to one server, or to that of several which can be written.

asyncpg itself tries several servers one after the other within one timeout. A machine that is lost does not refuse
connections, it does not answer; the time would be over before the second server is tried. So each server gets a head
start only, after which the next one is tried beside it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import asyncpg

from addonkit.database.errors import error_summary
from addonkit.database.server_url import Address, parse_server_url

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

HEAD_START_S = 0.5
"""Seconds after which the next server is tried beside one that has not answered yet."""
# A connection whose machine is lost fails after about this time, instead of the kernel's 15 minutes.
LOST_AFTER_S = 15
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": LOST_AFTER_S * 1000}

Failure = tuple[Address | None, Exception]


class NoServerAvailable(ConnectionError):
    """No server of the URL could be used; the text has the reason of each."""


async def connect(url: str, **options: Any) -> Connection:
    """Open one connection; see :meth:`Connector.connect`."""
    return await Connector(url).connect(**options)


class Connector:
    """Opens connections to the servers of a URL, first to the one that was used last.

    Args:
        url: The URL of the database.
    """

    def __init__(self, url: str) -> None:
        self._server = parse_server_url(url)
        self._addresses: Sequence[Address | None] = self._server.addresses or (None,)

    async def connect(self, *, timeout: float, **options: Any) -> Connection:
        """Open a connection to a server that fulfils ``target_session_attrs``.

        Args:
            timeout: Longest time for all servers, in seconds.
            options: Other options of ``asyncpg.connect``.

        Raises:
            NoServerAvailable: Every server refused the connection, or cannot be written.
            TimeoutError: No server could be used in time.
            PostgresError: A server refused the login.
        """
        try:
            async with asyncio.timeout(timeout):
                connection, address = await self._first(options)
        except TimeoutError:
            raise TimeoutError(f"no connection to {self._server.hosts} within {timeout:.0f} s") from None
        self._addresses = (address, *(one for one in self._addresses if one != address))
        _detect_lost_machine(connection)
        return connection

    async def _first(self, options: dict[str, Any]) -> tuple[Connection, Address | None]:
        """Try the servers, each with a head start, until one can be used."""
        waiting, failures = list(self._addresses), list[Failure]()
        attempts: dict[asyncio.Task[Connection], Address | None] = {}
        try:
            while waiting or attempts:
                if waiting:
                    address = waiting.pop(0)
                    attempts[asyncio.create_task(self._open(address, options))] = address
                head_start = HEAD_START_S if waiting else None
                done, _ = await asyncio.wait(attempts, timeout=head_start, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if (error := task.exception()) is None:
                        return task.result(), attempts.pop(task)
                    if not isinstance(error, Exception):
                        raise error
                    failures.append((attempts.pop(task), error))
        finally:
            await _abandon(attempts)
        raise self._failure(failures)

    async def _open(self, address: Address | None, options: dict[str, Any]) -> Connection:
        place = {"host": address.host, "port": address.port} if address else {}
        return await asyncpg.connect(
            self._server.login_url, **place, target_session_attrs=self._server.target, **options, timeout=None
        )

    def _failure(self, failures: Sequence[Failure]) -> Exception:
        """Return the error for all servers: a refused login as it is, or else the reason of each server."""
        for _, error in failures:
            if isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.CannotConnectNowError):
                return cast("Exception", error)
        _, error = failures[0]
        if len(failures) == 1 and not isinstance(error, asyncpg.TargetServerAttributeNotMatched):
            return error
        return NoServerAvailable(
            "; ".join(f"{address or self._server.hosts}: {_reason(error)}" for address, error in failures)
        )


def _reason(error: Exception) -> str:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "accepts no writes, such as a standby"
    return error_summary(error)


async def _abandon(attempts: dict[asyncio.Task[Connection], Address | None]) -> None:
    """Cancel the attempts that are not needed, and close what they have opened."""
    for task in attempts:
        task.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, asyncpg.Connection):
            result.terminate()


def _detect_lost_machine(connection: Connection) -> None:
    """Have the kernel close the connection when the server's machine does not answer any more."""
    handle = connection._transport.get_extra_info("socket")
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has all of them
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
