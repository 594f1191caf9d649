"""When a serving process is to end, and how: what signals say, and the process that started it."""

from __future__ import annotations

import asyncio
import signal
import socket
from enum import Enum


class ShutdownMode(Enum):
    """How a process ends; the value is how its supervisor says it."""

    GRACEFUL = b"t"
    """Whoever looks at /readyz is told first and gets time to notice."""
    HANDOVER = b"r"
    """Others have taken over the address: no new connections from now on."""
    FAST = b"i"
    """Nobody waits for this; requests under way are finished."""


AT_ONCE = b"k"
READY = b"+"


class Shutdown:
    """The end of this process, once it is asked for.

    Attributes:
        manner: How; None before it is asked for.
        asked: Set when it is asked for.
        at_once: Set when nothing more is to be waited for.
    """

    def __init__(self) -> None:
        self.manner: ShutdownMode | None = None
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self, manner: ShutdownMode, *, again_is_at_once: bool = True) -> None:
        """Ask for the end; the first word counts, and a second one means at once."""
        if self.manner is None:
            self.manner = manner
            self.asked.set()
        elif again_is_at_once:
            self.at_once.set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until nothing more is to be waited for."""
        try:
            async with asyncio.timeout(seconds):
                await self.at_once.wait()
        except TimeoutError:
            return

    def heed_signals(self) -> None:
        """Take SIGTERM, SIGINT and SIGHUP as what they mean for a process that nobody supervises."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask, ShutdownMode.GRACEFUL)
        loop.add_signal_handler(signal.SIGINT, self.ask, ShutdownMode.FAST)
        # whoever has started us with nohup wants us to stay
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            loop.add_signal_handler(signal.SIGHUP, self.ask, ShutdownMode.GRACEFUL)

    def heed_supervisor(self, line: socket.socket) -> None:
        """Take what the supervisor says on this socket; its death is a reason to end.

        Signals that come from elsewhere end us as well, however often they come: a service manager may send them to
        all processes, and the supervisor passes on its own.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self.ask(ShutdownMode.GRACEFUL, again_is_at_once=False))
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        line.setblocking(False)
        loop.add_reader(line, self._hear, line)

    def _hear(self, line: socket.socket) -> None:
        try:
            said = line.recv(16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(line)
            self.ask(ShutdownMode.GRACEFUL, again_is_at_once=False)
        for word in (said[place : place + 1] for place in range(len(said))):
            if word == AT_ONCE:
                self.ask(ShutdownMode.FAST, again_is_at_once=False)
                self.at_once.set()
            else:
                self.ask(ShutdownMode(word), again_is_at_once=False)
