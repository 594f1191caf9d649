"""Shutdown of a serving process: when and how it stops, from signals or from its supervisor."""

from __future__ import annotations

import asyncio
import signal
import socket
from enum import Enum


class ShutdownMode(Enum):
    """How a process stops; the value is the byte that the supervisor sends for it."""

    GRACEFUL = b"t"
    """/readyz responds with 503 first, so that load balancers notice before the listener closes."""
    HANDOVER = b"r"
    """Another process accepts connections on the same socket, so the listener closes without a wait."""
    FAST = b"i"
    """Listener and idle connections close without a wait; requests in progress are completed."""


ABORT = b"k"
"""Sent by the supervisor: stop waiting for requests."""
READY = b"+"
"""Sent to the supervisor: connections are accepted. The longest time for a shutdown follows, in seconds."""
CLOSED = b"-"
"""Sent to the supervisor: the listener is closed."""


class Shutdown:
    """A shutdown of this process: requested once, and aborted if the request is repeated.

    Attributes:
        mode: How to stop; None until a shutdown is requested.
        requested: Set when a shutdown is requested.
        aborted: Set when the process should stop without waiting any longer.
    """

    def __init__(self) -> None:
        self.mode: ShutdownMode | None = None
        self.requested = asyncio.Event()
        self.aborted = asyncio.Event()

    def request(self, mode: ShutdownMode, *, repeat_aborts: bool = True) -> None:
        """Request a shutdown. A second request keeps the first mode and aborts, unless ``repeat_aborts`` is false."""
        if self.mode is None:
            self.mode = mode
            self.requested.set()
        elif repeat_aborts:
            self.aborted.set()

    async def pause(self, seconds: float) -> None:
        """Sleep, or return early when the shutdown is aborted."""
        try:
            async with asyncio.timeout(seconds):
                await self.aborted.wait()
        except TimeoutError:
            return

    def handle_signals(self) -> None:
        """Handle SIGTERM, SIGINT and SIGHUP in a process without a supervisor."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.request, ShutdownMode.GRACEFUL)
        loop.add_signal_handler(signal.SIGINT, self.request, ShutdownMode.FAST)
        # nohup starts the process with SIGHUP ignored; it must stay ignored.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            loop.add_signal_handler(signal.SIGHUP, self.request, ShutdownMode.GRACEFUL)

    def handle_supervisor(self, channel: socket.socket) -> None:
        """Handle the messages of the supervisor on this socket; if the supervisor dies, request a shutdown.

        SIGTERM and SIGINT request a shutdown as well, but never abort: a service manager may send them to all
        processes of the group, and the supervisor sends its own request.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self.request(ShutdownMode.GRACEFUL, repeat_aborts=False))
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        channel.setblocking(False)
        loop.add_reader(channel, self._receive, channel)

    def _receive(self, channel: socket.socket) -> None:
        try:
            received = channel.recv(16)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            asyncio.get_running_loop().remove_reader(channel)
            self.request(ShutdownMode.GRACEFUL, repeat_aborts=False)
        for message in (received[index : index + 1] for index in range(len(received))):
            if message == ABORT:
                self.request(ShutdownMode.FAST, repeat_aborts=False)
                self.aborted.set()
            else:
                self.request(ShutdownMode(message), repeat_aborts=False)
