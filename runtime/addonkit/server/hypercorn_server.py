"""Hypercorn's protocols on a socket of ours.

Hypercorn's own loop closes the listener and all idle connections in one moment. Its protocols are taken without it, so
that a connection ends when its client knows: by ``Connection: close`` or GOAWAY, or after it was idle for a while.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import h11
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hyperframe.frame import GoAwayFrame

from addonkit.edge.request import Message, Send
from addonkit.log import structlog
from addonkit.server.sockets import BACKLOG
from addonkit.server.tls import Tls

LARGEST_HEADERS = 24 * 1024
# Longer than the idle time of usual proxies: who closes last never closes on a request that is on its way.
KEEP_ALIVE_S = 75
HANDSHAKE_S = 20
# A connection of HTTP/2 is given up politely after so many requests, and hard after twice as many.
REQUESTS = 10_000
LAST_STREAM = 2**31 - 1
# How long hypercorn needs for the end of an answer whose last byte the application has sent.
SETTLED_S = 0.02
# How long a connection takes at most, as a rule, from being taken to being known here.
FRESH_S = 0.5

log = structlog.get_logger()


class HypercornServer:
    """Serves an ASGI application on one socket.

    Args:
        app: The application.
        listener: A bound socket, which this owns from here on.
        tls: What HTTPS is served with; None serves HTTP.
    """

    def __init__(self, app: Any, listener: socket.socket, tls: Tls | None = None) -> None:
        self._app, self._listener, self._tls = app, listener, tls
        self._config = _config()
        self._context = WorkerContext(None)
        self._connections: dict[asyncio.Task[Any], _Connection] = {}
        self._ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_settled = False
        self.is_draining = False

    async def open(self) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(
            self._connected,
            sock=self._listener,
            backlog=BACKLOG,
            ssl=self._tls.context if self._tls else None,
            ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
        )

    def drain(self) -> None:
        """Have clients go elsewhere after the answers that they wait for; who comes is still served."""
        self.is_draining = True
        for connection in self._connections.values():
            connection.leave_soon()

    def close(self, idle_s: float) -> None:
        """Take no new connections; those that nothing happens on are closed after so many seconds."""
        self.drain()
        if self._server is not None:
            self._server.close()
        for connection in self._connections.values():
            connection.leave_now()
        self._closing = asyncio.create_task(self._close_idle(idle_s))

    async def gone(self) -> None:
        """Wait until the last connection has ended after ``close``."""
        await self._ended.wait()

    async def cut(self) -> int:
        """End what is left; give how many requests were under way."""
        under_way = sum(connection.under_way for connection in self._connections.values())
        tasks: list[asyncio.Task[Any]] = [*self._connections, *([self._closing] if self._closing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return under_way

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Live through one connection."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker, asyncio starts one for each connection
        connection = self._connections[task] = _Connection(self, self._app)
        connection.tcp = _Tcp(connection, asyncio.get_running_loop(), self._config, self._context, {}, reader, writer)
        try:
            await connection.tcp
        except Exception as wrong:
            # hypercorn's protocols raise whatever a client makes them stumble on
            log.debug("connection failed", reason=type(wrong).__name__)
        finally:
            writer.close()
            del self._connections[task]
            self._notice_end()

    def _notice_end(self) -> None:
        if self._is_settled and not self._connections:
            self._ended.set()

    async def _close_idle(self, idle_s: float) -> None:
        # A connection that was just taken may still be at its handshake, and is not among the others yet.
        fresh_s = min(FRESH_S, idle_s)
        await asyncio.sleep(fresh_s)
        self._is_settled = True
        self._notice_end()
        await asyncio.sleep(idle_s - fresh_s)
        await self._context.terminated.set()


class _Tcp(TCPServer):
    """Hypercorn's, which would keep a connection that its client has closed until the keep-alive time is over."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class _Connection:
    """The application as one connection sees it."""

    __slots__ = ("_app", "_front", "_has_left", "_requests", "tcp", "under_way")

    def __init__(self, front: HypercornServer, app: Any) -> None:
        self._front, self._app = front, app
        self._requests = self.under_way = 0
        self._has_left = False
        self.tcp: TCPServer

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: object, call_soon: object) -> None:
        """Answer one request."""
        self._requests += 1
        self.under_way += 1
        try:
            is_old = scope["type"] == "http" and scope["http_version"][0] == "1"
            await self._app(scope, receive, self._parting(send) if is_old else send)
        finally:
            self.under_way -= 1
            if self._front.is_draining or self._requests >= REQUESTS:
                self.leave_soon()

    def _parting(self, send: Send) -> Send:
        """The server's ``send``, which tells an HTTP/1.1 client when not to come back on this connection."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and (self._front.is_draining or self._is_half_read()):
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return sending

    def _is_half_read(self) -> bool:
        """Whether an HTTP/1.1 client is still sending its body: hypercorn closes such a connection after the answer."""
        protocol = getattr(getattr(self.tcp, "protocol", None), "protocol", None)
        return isinstance(protocol, H11Protocol) and protocol.connection.their_state is h11.SEND_BODY

    def leave_soon(self) -> None:
        """Tell an HTTP/2 client to go elsewhere, once nothing is under way: some give up all of it when told."""
        if not self._has_left and not self.under_way:
            asyncio.get_running_loop().call_later(SETTLED_S, self._leave_if_quiet)

    def leave_now(self) -> None:
        """Tell an HTTP/2 client to go elsewhere after what is under way."""
        protocol = getattr(getattr(self.tcp, "protocol", None), "protocol", None)
        if isinstance(protocol, H2Protocol) and not self._has_left:
            self._has_left = True
            # Written past h2, which would take no more answers after a GOAWAY of its own.
            frame = GoAwayFrame(0, last_stream_id=LAST_STREAM).serialize()
            task = asyncio.ensure_future(self.tcp.protocol_send(RawData(frame)))
            task.add_done_callback(_retrieve)

    def _leave_if_quiet(self) -> None:
        if not self.under_way:
            self.leave_now()


def _config() -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = LARGEST_HEADERS
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = 2 * REQUESTS
    return config


def _retrieve(task: asyncio.Future[Any]) -> None:
    # The client may be gone, which is all that we wanted of it.
    with suppress(asyncio.CancelledError):
        task.exception()
