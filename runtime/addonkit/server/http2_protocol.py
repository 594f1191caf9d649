"""hypercorn's HTTP/2 protocol, in which no stream outlives its connection and none ends the connection of others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.events import Closed, Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol

from addonkit.server.http2_limits import limit_frames
from addonkit.server.plain_protocol import arguments_of


class LimitedH2Protocol(H2Protocol):
    """hypercorn's class with four differences.

    - Frames are limited (``http2_limits``).
    - Data for a stream that has had its response is discarded. hypercorn would end the connection with all its streams.
    - When a stream is reset or the connection closes, a response that waits to be sent is released. hypercorn would
      let its handler wait for ever, and the connection with it.
    - A response that fails after it has started is reset. hypercorn would leave it without an end.

    Args:
        plain: The protocol that hypercorn has made for the connection.
        on_flood: Called with the reason when the client has sent too many frames of a kind.
    """

    def __init__(self, plain: H2Protocol, on_flood: Callable[[str], None]) -> None:
        super().__init__(*arguments_of(plain))
        self.streams = _Streams()
        limit_frames(self.connection, on_flood)

    def waiting_bytes(self) -> int:
        """Give the size of responses that wait until the client is ready for them."""
        return sum(len(buffer.buffer) for buffer in self.stream_buffers.values())

    async def handle(self, event: Event) -> None:
        """Process what was received, or the end of the connection."""
        await super().handle(event)
        if isinstance(event, Closed):
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what a stream has for the client; a response without an end is reset."""
        if isinstance(event, StreamClosed) and event.stream_id in self.streams:
            buffer = self.stream_buffers.get(event.stream_id)
            if buffer is not None and not buffer.complete:
                with suppress(ProtocolError):
                    self.connection.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                    await self._flush()
        await super().stream_send(event)

    async def _close_stream(self, stream_id: int) -> None:
        await super()._close_stream(stream_id)
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None and not buffer.complete:
            await buffer.close()
            self.priority.unblock(stream_id)


class _Discarding:
    """Stands for a stream that has ended: discards what its client still sends."""

    async def handle(self, event: object) -> None:
        """Discard an event."""


class _Streams(dict[int, Any]):
    """Streams in progress by number; any other number gives a stream that discards."""

    def __missing__(self, stream_id: int) -> _Discarding:
        return DISCARDING


DISCARDING = _Discarding()
