"""One serving process of several, as the process that started it sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from addonkit.server.shutdown import READY

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
NUMBER_VARIABLE = "ADDONKIT_WORKER"
# What a process gets beyond the time for its requests: longer than its background tasks may take to end.
PATIENCE_S = 15.0


class WorkerProcess:
    """A process of ours, and the line to it.

    Attributes:
        number: From 1; a successor has the same.
        pid: Its process id.
        patience_s: Longest time that it needs to end, by its own words.
        serves: Whether it has said that it takes connections.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process, line: socket.socket, ending_s: float) -> None:
        self.number, self.pid = number, process.pid
        self.patience_s = ending_s + PATIENCE_S
        self.serves = False
        self._process, self._line = process, line

    @classmethod
    async def start(
        cls, number: int, command: Sequence[str], listeners: Sequence[socket.socket], metrics: str, ending_s: float
    ) -> WorkerProcess:
        """Start one.

        Args:
            number: Which.
            command: What is run; ``--inherited`` is added to it.
            listeners: Sockets that it is handed.
            metrics: The folder in which all workers keep their metrics.
            ending_s: How long its requests may take to end, until it says so itself.
        """
        line, theirs = socket.socketpair()
        line.setblocking(False)
        try:
            with theirs:
                process = await _started([*command, "--inherited"], [theirs, *listeners], number, metrics)
        except BaseException:
            line.close()
            raise
        return cls(number, process, line, ending_s)

    async def is_ready(self) -> bool:
        """Wait until it takes connections; False if it ended before."""
        said = await asyncio.get_running_loop().sock_recv(self._line, 32)
        if not said.startswith(READY):
            await self.ended()
            return False
        self.patience_s = float(said.removeprefix(READY)) + PATIENCE_S
        self.serves = True
        return True

    async def ended(self) -> int:
        """Wait until it has ended; give its exit code, which is negative for a signal."""
        return await self._process.wait()

    def tell(self, word: bytes) -> None:
        """Say how it is to end."""
        # one that is just dying hears nothing any more
        with suppress(OSError):
            self._line.send(word)

    def call_off(self) -> None:
        """End one that does not serve yet, with what it has started itself, such as a migration."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def let_go(self) -> None:
        """Give back what belonged to it, after it ended."""
        self._line.close()


async def _started(
    command: Sequence[str], sockets: Sequence[socket.socket], number: int, metrics: str
) -> asyncio.subprocess.Process:
    descriptors = [one.fileno() for one in sockets]
    return await asyncio.create_subprocess_exec(
        *command,
        ",".join(map(str, descriptors)),
        pass_fds=descriptors,
        env={**os.environ, NUMBER_VARIABLE: str(number), METRICS_VARIABLE: metrics},
        # Apart from the terminal: what is typed there is for the supervisor alone.
        process_group=0,
    )
