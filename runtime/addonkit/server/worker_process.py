"""One worker process, for its supervisor: starts it, asks it to stop, and kills it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from addonkit.server.shutdown import CLOSED, READY

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
NUMBER_VARIABLE = "ADDONKIT_WORKER"
# Added to the time for a process's requests before it is killed; longer than its background tasks may take to stop.
EXTRA_STOP_S = 15.0


class WorkerProcess:
    """A worker process, with a socket pair as the channel to it.

    Attributes:
        number: Its number, from 1; the process that replaces this one has the same number.
        pid: Its process id.
        stop_timeout_s: Longest time for its shutdown before it is killed; the process itself reports it.
        is_serving: Whether it has reported that it accepts connections.
    """

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: socket.socket, requests_s: float
    ) -> None:
        self.number, self.pid = number, process.pid
        self.stop_timeout_s = requests_s + EXTRA_STOP_S
        self.is_serving = False
        self._process, self._channel = process, channel

    @classmethod
    async def start(
        cls,
        number: int,
        command: Sequence[str],
        *,
        listeners: Sequence[socket.socket],
        metrics: str,
        requests_s: float,
    ) -> WorkerProcess:
        """Start a worker process.

        Args:
            number: Its number, from 1.
            command: What to run; ``--inherited`` is added to it.
            listeners: Sockets that it inherits.
            metrics: The folder in which all workers keep their metrics.
            requests_s: Longest time for its requests to complete, until the process reports its own.

        Raises:
            OSError: The process could not be started.
        """
        channel, inherited = socket.socketpair()
        channel.setblocking(False)
        try:
            with inherited:
                process = await _start_process([*command, "--inherited"], [inherited, *listeners], number, metrics)
        except BaseException:
            channel.close()
            raise
        return cls(number, process, channel, requests_s)

    async def wait_ready(self) -> bool:
        """Wait until it accepts connections; False if it exited first."""
        received = await asyncio.get_running_loop().sock_recv(self._channel, 32)
        if not received.startswith(READY):
            await self.wait()
            return False
        self.stop_timeout_s = float(received.removeprefix(READY)) + EXTRA_STOP_S
        self.is_serving = True
        return True

    async def wait_listener_closed(self) -> None:
        """Wait until it has reported that its listener is closed, or has exited."""
        closed = asyncio.create_task(self._receive_closed())
        exited = asyncio.create_task(self.wait())
        await asyncio.wait({closed, exited}, return_when=asyncio.FIRST_COMPLETED)
        for task in (closed, exited):
            task.cancel()
        await asyncio.gather(closed, exited, return_exceptions=True)

    async def _receive_closed(self) -> None:
        if self.is_serving:
            while (
                CLOSED not in (received := await asyncio.get_running_loop().sock_recv(self._channel, 32)) and received
            ):
                continue
        else:
            await self.wait()

    async def wait(self) -> int:
        """Wait until it exits; return its exit code, which is negative for a signal."""
        return await self._process.wait()

    def send(self, message: bytes) -> None:
        """Send it a shutdown mode, or ``ABORT``."""
        # A process that is exiting may have closed the channel.
        with suppress(OSError):
            self._channel.send(message)

    def terminate_group(self) -> None:
        """Send SIGTERM to a process that does not serve yet and to what it has started, such as a migration."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def release(self) -> None:
        """Close the channel after the process has exited."""
        self._channel.close()


async def _start_process(
    command: Sequence[str], sockets: Sequence[socket.socket], number: int, metrics: str
) -> asyncio.subprocess.Process:
    descriptors = [one.fileno() for one in sockets]
    return await asyncio.create_subprocess_exec(
        *command,
        ",".join(map(str, descriptors)),
        pass_fds=descriptors,
        env={**os.environ, NUMBER_VARIABLE: str(number), METRICS_VARIABLE: metrics},
        # Its own group: signals from the terminal go to the supervisor only.
        process_group=0,
    )
