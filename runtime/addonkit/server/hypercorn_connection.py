"""One connection on hypercorn's protocol classes, closed when its client closes it, floods it, or opens no stream."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ssl import SSLError
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from addonkit.log import structlog
from addonkit.server.http2_limits import limit_frames

# How long to discard what a client still sends after its GOAWAY: closing at once would reset the connection, and the
# client might not see the GOAWAY.
DISCARD_S = 5.0

log = structlog.get_logger()


class TcpServer(TCPServer):
    """hypercorn's class with three differences.

    - A connection that the client has closed is closed at once, and not after the keep-alive time.
    - Frames of HTTP/2 are limited (``http2_limits``).
    - HTTP/2 without TLS has an idle time before its first stream, as HTTP/2 with TLS has.
    """

    _is_flooded = False
    _client = ""

    async def run(self) -> None:
        """Serve the connection; as hypercorn does, but with ``LimitedProtocols``."""
        try:
            socket = self.writer.get_extra_info("socket")
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            self._client = client[0] if client else "unix"
            async with TaskGroup(self.loop) as self._task_group:
                self.protocol = self._protocols(client, server)
                await self.protocol.initiate()
                await self.idle_task.restart(self._task_group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """Send data, or close; a client that floods the connection gets time to read why."""
        if isinstance(event, Closed) and self._is_flooded:
            await self.protocol.handle(Closed())
            await self._discard_input()
        await super().protocol_send(event)

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
            await self.protocol.handle(RawData(data))
            await self._keep_idle_time()
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def _keep_idle_time(self) -> None:
        """Start the idle time of an HTTP/2 connection that has no stream: hypercorn stops it when HTTP/2 begins."""
        protocol = self.protocol.protocol
        is_running = self.idle_task._handle is not None  # noqa: SLF001 - of the pinned version
        if isinstance(protocol, H2Protocol) and protocol.idle and not is_running and not protocol.closed:
            await self.idle_task.restart(self._task_group, self._idle_timeout)

    def _note_flood(self, reason: str) -> None:
        self._is_flooded = True
        log.warning("connection.flooded", reason=reason, client=self._client)

    async def _discard_input(self) -> None:
        with suppress(OSError, NotImplementedError, RuntimeError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                while await self.reader.read(MAX_RECV):
                    continue


class LimitedProtocols(ProtocolWrapper):
    """hypercorn's class, which limits the frames of HTTP/2 whenever a connection uses it."""

    def __init__(self, *args: Any, on_flood: Any) -> None:
        self._on_flood = on_flood
        super().__init__(*args)

    @property
    def protocol(self) -> H11Protocol | H2Protocol:
        """The protocol in use; HTTP/1.1 may turn into HTTP/2."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: H11Protocol | H2Protocol) -> None:
        self._protocol = protocol
        if isinstance(protocol, H2Protocol):
            limit_frames(protocol.connection, self._on_flood)
