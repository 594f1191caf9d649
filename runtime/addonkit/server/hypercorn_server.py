"""hypercorn's protocol classes on a socket that is bound already, without hypercorn's own server loop.

hypercorn's loop closes the listener and all idle connections at the same time. This server accepts every connection
that the kernel has established before it closes the listener. It tells clients, with ``Connection: close`` or GOAWAY,
and closes the connections that then stay idle. The classes have no public name,
so the package checks at import that exactly one version is installed; ``docs/decisions/hypercorn-sockets.md`` says why.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hyperframe.frame import GoAwayFrame

from addonkit.edge.request import Message, Send
from addonkit.log import structlog
from addonkit.server.head_limit import MAX_HEAD_BYTES, is_head_too_large, refuse_head
from addonkit.server.hypercorn_connection import TcpServer
from addonkit.server.sockets import BACKLOG, refuse_connections
from addonkit.server.tls import Tls

# Longer than the idle time of usual proxies: the proxy closes first, so no request meets a connection that we close.
KEEP_ALIVE_S = 75
HANDSHAKE_S = 20
# A client that reads nothing of its responses for so long, or up to twice as long, is disconnected.
STALL_S = 60.0
# After so many requests, a client with HTTP/2 gets GOAWAY; after twice as many, hypercorn closes the connection.
MAX_REQUESTS = 10_000
LAST_STREAM = 2**31 - 1
# Time for hypercorn to send the end of a response after the application has returned.
RESPONSE_END_S = 0.02
# How long connections that are being established may take to arrive, after new ones are refused.
ESTABLISH_S = 0.5
# How long to accept nothing when there are no file descriptors or no memory left.
ACCEPT_PAUSE_S = 1.0

log = structlog.get_logger()


class HypercornServer:
    """Serves an ASGI application on one socket.

    Args:
        app: The application.
        listener: A bound socket, which this object owns from now on.
        tls: Certificate and key for HTTPS; None serves HTTP.
    """

    def __init__(self, app: Any, listener: socket.socket, tls: Tls | None = None) -> None:
        self._app, self._listener, self._tls = app, listener, tls
        self._config = _config()
        self._context = WorkerContext(None)
        self._connections: dict[asyncio.Task[Any], _Connection] = {}
        self._closed = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._is_accepting = False
        self.is_draining = False

    async def open(self) -> None:
        """Start to accept connections."""
        self._is_accepting = True
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        self._disconnect_stalled()

    def drain(self) -> None:
        """Ask clients to close their connections after the current response; new connections are still accepted."""
        self.is_draining = True
        for connection in self._connections.values():
            connection.send_goaway_when_idle()

    def close(self, idle_s: float, *, refuse: bool = False, on_closed: Callable[[], None] = lambda: None) -> None:
        """Stop accepting connections; close idle connections after this many seconds.

        Args:
            idle_s: For how long idle connections stay open.
            refuse: Refuse new connections first, and accept all that are established; otherwise other processes go on
                accepting on this socket, or nobody waits for an answer.
            on_closed: Called when the listener is closed.
        """
        self.drain()
        self._closing = asyncio.create_task(self._close(idle_s, refuse, on_closed))

    async def wait_closed(self) -> None:
        """Wait until the last connection has closed after ``close``."""
        await self._closed.wait()

    async def abort(self) -> int:
        """Close all remaining connections; return the number of requests that were in progress."""
        self._close_listener()
        in_progress = sum(connection.in_progress for connection in self._connections.values())
        for connection in self._connections.values():
            connection.disconnect()
        tasks: list[asyncio.Task[Any]] = [*self._connections, *([self._closing] if self._closing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._stop_timer()
        return in_progress

    def _accept(self) -> None:
        """Accept all connections that the kernel has established."""
        for _ in range(BACKLOG):
            try:
                client, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_accepting(error)
                return
            client.setblocking(False)
            connection = _Connection(self, self._app)
            self._connections[asyncio.create_task(self._serve_connection(client, connection))] = connection

    def _pause_accepting(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        # EINVAL: another process has shut the socket down, and it accepts nothing any more.
        if error.errno != errno.EINVAL:
            log.error("connections.not_accepted", reason=error.strerror, pause_s=ACCEPT_PAUSE_S)
            loop.call_later(ACCEPT_PAUSE_S, self._resume_accepting)

    def _resume_accepting(self) -> None:
        if self._is_accepting:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def _serve_connection(self, client: socket.socket, connection: _Connection) -> None:
        """Serve one connection until it closes."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        writer = None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                client,
                ssl=self._tls.context if self._tls else None,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            connection.tcp = TcpServer(connection, loop, self._config, self._context, {}, reader, writer)
            await connection.tcp
        except Exception as error:
            # hypercorn's protocols raise many kinds of exceptions for malformed input.
            log.debug("connection.failed", reason=type(error).__name__)
        finally:
            (writer or client).close()
            del self._connections[asyncio.current_task()]  # type: ignore[arg-type] # a task runs this
            self._check_closed()

    def _disconnect_stalled(self) -> None:
        """Disconnect clients that do not read their responses, and look again later."""
        for connection in self._connections.values():
            if connection.is_stalled():
                connection.disconnect()
        self._stall_timer = asyncio.get_running_loop().call_later(STALL_S, self._disconnect_stalled)

    def _check_closed(self) -> None:
        if not self._is_accepting and self._closing is not None and not self._connections:
            self._closed.set()
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    async def _close(self, idle_s: float, refuse: bool, on_closed: Callable[[], None]) -> None:
        if refuse:
            refuse_connections(self._listener)
            await asyncio.sleep(ESTABLISH_S)
            self._accept()
        self._close_listener()
        on_closed()
        for connection in self._connections.values():
            connection.send_goaway()
        self._check_closed()
        await asyncio.sleep(idle_s)
        await self._context.terminated.set()
        for task, connection in self._connections.items():
            if connection.tcp is None:
                task.cancel()
        for connection in self._connections.values():
            connection.close_if_idle()

    def _close_listener(self) -> None:
        self._is_accepting = False
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()


class _Connection:
    """One connection: the application that hypercorn calls, with the count of requests in progress."""

    __slots__ = ("_app", "_has_sent_goaway", "_requests", "_server", "in_progress", "tcp")

    def __init__(self, server: HypercornServer, app: Any) -> None:
        self._server, self._app = server, app
        self._requests = self.in_progress = 0
        self._has_sent_goaway = False
        # None while the connection is being set up, for TLS until the end of the handshake.
        self.tcp: TcpServer | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: object, call_soon: object) -> None:
        """Answer one request."""
        self._requests += 1
        self.in_progress += 1
        try:
            is_http1 = scope["type"] == "http" and scope["http_version"][0] == "1"
            if scope["type"] == "http" and is_head_too_large(scope):
                await refuse_head(scope, send)
                return
            await self._app(scope, receive, self._with_close_header(send) if is_http1 else send)
        finally:
            self.in_progress -= 1
            if self._server.is_draining or self._requests >= MAX_REQUESTS:
                self.send_goaway_when_idle()

    def _with_close_header(self, send: Send) -> Send:
        """Wrap ``send``: it adds ``Connection: close`` to an HTTP/1.1 response after which the connection closes."""

        async def send_with_close(message: Message) -> None:
            if message["type"] == "http.response.start" and (self._server.is_draining or self._is_body_unread()):
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return send_with_close

    def _is_body_unread(self) -> bool:
        """Whether an HTTP/1.1 client is still sending its body: hypercorn then closes after the response."""
        protocol = self._protocol()
        return isinstance(protocol, H11Protocol) and protocol.connection.their_state is h11.SEND_BODY

    def is_stalled(self) -> bool:
        """Whether the client has read nothing of its responses since the previous call."""
        return self.tcp is not None and self._protocol() is not None and self.tcp.is_stalled()

    def disconnect(self) -> None:
        """Close the connection without waiting for output that the client does not read."""
        if self.tcp is not None:
            self.tcp.writer.transport.abort()

    def close_if_idle(self) -> None:
        """Close the connection if no request is in progress."""
        if self.tcp is not None:
            self.tcp.close_if_idle()

    def send_goaway_when_idle(self) -> None:
        """Send GOAWAY once no request is in progress: some HTTP/2 clients drop their open requests on GOAWAY."""
        if not self._has_sent_goaway and not self.in_progress:
            asyncio.get_running_loop().call_later(RESPONSE_END_S, self._send_goaway_if_idle)

    def send_goaway(self) -> None:
        """Send GOAWAY to an HTTP/2 client: it opens no more streams here, and those that are open are completed."""
        if self.tcp is not None and isinstance(self._protocol(), H2Protocol) and not self._has_sent_goaway:
            self._has_sent_goaway = True
            # Written to the connection directly: after a GOAWAY that h2 itself sends, it accepts no more responses.
            frame = GoAwayFrame(0, last_stream_id=LAST_STREAM).serialize()
            task = asyncio.ensure_future(self.tcp.protocol_send(RawData(frame)))
            task.add_done_callback(_retrieve_exception)

    def _protocol(self) -> Any:
        """The protocol of the connection, of hypercorn; None until it has begun."""
        return getattr(getattr(self.tcp, "protocol", None), "protocol", None)

    def _send_goaway_if_idle(self) -> None:
        if not self.in_progress:
            self.send_goaway()


def _config() -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = 2 * MAX_REQUESTS
    return config


def _retrieve_exception(task: asyncio.Future[Any]) -> None:
    # The client may have closed the connection, which is what GOAWAY asks for.
    with suppress(asyncio.CancelledError):
        task.exception()
