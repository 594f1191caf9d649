"""One connection on hypercorn's protocol classes, closed when its client closes it, floods it, or opens no stream."""

from __future__ import annotations

from contextlib import suppress
from ssl import SSLError
from typing import Any

import h11
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from addonkit.log import structlog
from addonkit.server.app_messages import AppTasks
from addonkit.server.http1_protocol import LeanH11Protocol
from addonkit.server.http2_protocol import LimitedH2Protocol
from addonkit.server.idle_timer import IdleTimer

# How long to discard what a client still sends after its last response or GOAWAY: closing at once would reset the
# connection, and the client might not see them (RFC 9112, 9.6).
DISCARD_S = 5.0
# Above so much unsent output, a response waits for its client. asyncio's transports pause writers at the same size.
MAX_WRITE_BUFFER = 64 * 1024

log = structlog.get_logger()


class TcpServer(TCPServer):
    """hypercorn's class with eight differences.

    - A connection that the client has closed is closed at once, and not after the keep-alive time.
    - A client that is still sending when the connection ends gets time to read why.
    - A request ends when it was answered, even if its body was not read (``AppMessages``).
    - A client that reads nothing of what waits for it can be recognised (``is_stalled``).
    - HTTP/2 is that of ``LimitedH2Protocol``.
    - HTTP/2 without TLS has an idle time before its first stream, as HTTP/2 with TLS has.
    - HTTP/1.1 is that of ``LeanH11Protocol``, and a small response is written without a lock.
    - Idle connections are closed by ``IdleTimer``.
    """

    _is_discarding = _has_ended = False
    _client = ""
    _sent = 0
    _progress = (0, 0, 0)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._idle_timer = IdleTimer(self.loop, self.config.keep_alive_timeout, self.close_if_idle)

    async def run(self) -> None:
        """Serve the connection; as hypercorn does, but with ``LimitedProtocols``."""
        try:
            socket = self.writer.get_extra_info("socket")
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            self._client = client[0] if client else "unix"
            async with AppTasks(self.loop) as self._task_group:
                self.protocol = self._protocols(client, server)
                try:
                    await self.protocol.initiate()
                    self._idle_timer.note_idle()
                    await self._read_data()
                finally:
                    self._has_ended = True
                    await self.protocol.handle(Closed())
                    self._idle_timer.cancel()
        except OSError:
            pass
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """Send data, or close; a client that is still sending gets time to read why."""
        if isinstance(event, RawData):
            self._sent += 1
            if self._is_writable() and not isinstance(self.protocol.protocol, H2Protocol):
                self.writer.write(event.data)
                return
        elif isinstance(event, Updated):
            self._note_idle(event.idle)
            return
        elif not self._has_ended and self._is_client_sending():
            await self.protocol.handle(Closed())
            self._discard_input()
            return
        await super().protocol_send(event)

    def close_if_idle(self) -> None:
        """Close the connection if no request is in progress."""
        if self._idle_timer.is_idle:
            self._task_group.spawn(self._close_idle)

    async def _close_idle(self) -> None:
        # A request may have arrived since the task was made.
        if self._idle_timer.is_idle:
            await self._initiate_server_close()

    def _note_idle(self, is_idle: bool) -> None:
        if self._has_ended:
            return
        if not is_idle:
            self._idle_timer.note_busy()
            return
        self._idle_timer.note_idle()
        if self.context.terminated.is_set():
            self.close_if_idle()

    def _is_writable(self) -> bool:
        """Whether output need not wait until the client has read more, so that hypercorn's lock is not needed."""
        transport = self.writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() < MAX_WRITE_BUFFER

    def is_stalled(self) -> bool:
        """Whether output waits for the client, and it has read nothing since the previous call."""
        protocol = self.protocol.protocol
        waiting = protocol.waiting_bytes() if isinstance(protocol, LimitedH2Protocol) else 0
        before = self._progress
        self._progress = (self._sent, self.writer.transport.get_write_buffer_size(), waiting)
        return self._progress == before and any(before[1:])

    def _protocols(self, client: tuple[str, int] | None, server: tuple[str, int] | None) -> LimitedProtocols:
        tls = self.writer.get_extra_info("ssl_object")
        return LimitedProtocols(
            self.app,
            self.config,
            self.context,
            self._task_group,
            ConnectionState(self.state),
            tls is not None,
            client,
            server,
            self.protocol_send,
            tls.selected_alpn_protocol() if tls is not None else "http/1.1",
            on_flood=self._note_flood,
        )

    async def _read_data(self) -> None:
        while not self.reader.at_eof():
            try:
                data = await self.reader.read(MAX_RECV)
            except (OSError, SSLError):
                break
            if not self._is_discarding:
                await self.protocol.handle(RawData(data))
                protocol = self.protocol.protocol
                if isinstance(protocol, H2Protocol):
                    self._keep_idle_time(protocol)

    def _keep_idle_time(self, protocol: H2Protocol) -> None:
        """Start the idle time of an HTTP/2 connection that has no stream: hypercorn stops it when HTTP/2 begins."""
        if protocol.idle and not self._idle_timer.is_idle and not protocol.closed:
            self._idle_timer.note_idle()

    def _note_flood(self, reason: str) -> None:
        log.warning("connection.flooded", reason=reason, client=self._client)

    def _is_client_sending(self) -> bool:
        """Whether the client may be sending what nobody reads: the rest of a request, or any frame of HTTP/2."""
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol):
            return not self.reader.at_eof()
        return protocol.connection.their_state in (h11.SEND_BODY, h11.ERROR)

    def _discard_input(self) -> None:
        """Discard what the client sends until it closes the connection, or for some seconds."""
        if self._is_discarding:
            return
        self._is_discarding = True
        # uvloop raises RuntimeError for a connection that is closed already.
        with suppress(OSError, RuntimeError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
        self.loop.call_later(DISCARD_S, self.writer.close)


class LimitedProtocols(ProtocolWrapper):
    """hypercorn's class, with ``LimitedH2Protocol`` whenever a connection uses HTTP/2, and ``LeanH11Protocol`` else."""

    def __init__(self, *args: Any, on_flood: Any) -> None:
        self._on_flood = on_flood
        super().__init__(*args)

    @property
    def protocol(self) -> LeanH11Protocol | LimitedH2Protocol:
        """The protocol in use; HTTP/1.1 may turn into HTTP/2."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: H11Protocol | H2Protocol) -> None:
        self._protocol: LeanH11Protocol | LimitedH2Protocol
        if isinstance(protocol, H2Protocol):
            self._protocol = LimitedH2Protocol(protocol, self._on_flood)
        else:
            self._protocol = LeanH11Protocol(protocol)
