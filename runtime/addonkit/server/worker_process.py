"""One worker process, for its supervisor: starts it, asks it to stop, and kills it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

from addonkit.server.shutdown import CLOSED, READY
from addonkit.server.worker_beat import BEAT
from addonkit.server.worker_beat import VARIABLE as BEAT_VARIABLE
from addonkit.settings import NUMBER_VARIABLE
from addonkit.supervised_task import first_of
from addonkit.temporary_folder import LockedFolder

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Added to the time for a process's requests before it is killed; longer than its background tasks may take to stop.
EXTRA_STOP_S = 15.0


class WorkerProcess:
    """A worker process, with a socket pair as the channel to it.

    Attributes:
        number: Its number, from 1; the process that replaces this one has the same number.
        pid: Its process id.
        stop_timeout_s: Longest time for its shutdown before it is killed; the process itself reports it.
        is_serving: Whether it has reported that it accepts connections.
        beat_at: When it last sent anything, by the clock of the event loop.
    """

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: socket.socket, requests_s: float
    ) -> None:
        self.number, self.pid = number, process.pid
        self.stop_timeout_s = requests_s + EXTRA_STOP_S
        self.is_serving, self.beat_at = False, 0.0
        self._process, self._channel = process, channel
        self._is_open = True
        self._listener_closed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        number: int,
        command: Sequence[str],
        *,
        listeners: Sequence[socket.socket],
        metrics: LockedFolder,
        requests_s: float,
        beat_s: float | None = None,
    ) -> WorkerProcess:
        """Start a worker process.

        Args:
            number: Its number, from 1.
            command: What to run; ``--inherited`` is added to it.
            listeners: Sockets that it inherits.
            metrics: The folder in which all workers keep their metrics; the process keeps it locked, too.
            requests_s: Longest time for its requests to complete, until the process reports its own.
            beat_s: Longest time between two beats of it, in seconds; None: it sends none.

        Raises:
            OSError: The process could not be started.
        """
        channel, inherited = socket.socketpair()
        channel.setblocking(False)
        try:
            with inherited:
                variables = {NUMBER_VARIABLE: str(number), METRICS_VARIABLE: str(metrics.path)}
                variables |= {BEAT_VARIABLE: str(beat_s)} if beat_s is not None else {}
                process = await _start_process(
                    [*command, "--inherited"], [inherited, *listeners], variables, kept=[metrics.descriptor]
                )
        except BaseException:
            channel.close()
            raise
        return cls(number, process, channel, requests_s)

    async def wait_ready(self) -> bool:
        """Wait until it accepts connections; False if it exited first."""
        while not (received := await self._receive()).startswith(READY):
            if not self._is_open:
                await self.wait()
                return False
        self.stop_timeout_s = float(received.removeprefix(READY)) + EXTRA_STOP_S
        self.is_serving = True
        self._listening = asyncio.create_task(self._listen(), name=f"channel of worker {self.number}")
        return True

    async def wait_listener_closed(self) -> None:
        """Wait until it has reported that its listener is closed, or has exited."""
        await first_of(self._listener_closed.wait(), self.wait())

    async def _listen(self) -> None:
        """Receive beats, and the message that the listener is closed, until the channel ends."""
        while self._is_open:
            if CLOSED in await self._receive():
                self._listener_closed.set()
        self._listener_closed.set()

    async def _receive(self) -> bytes:
        """Receive what was sent other than beats."""
        loop = asyncio.get_running_loop()
        received = await loop.sock_recv(self._channel, 32)
        self._is_open = bool(received)
        self.beat_at = loop.time()
        return received.replace(BEAT, b"")

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

    async def release(self) -> None:
        """Close the channel after the process has exited, even if this is cancelled."""
        try:
            if self._listening is not None:
                self._listening.cancel()
                await asyncio.gather(self._listening, return_exceptions=True)
        finally:
            self._channel.close()


async def _start_process(
    command: Sequence[str], sockets: Sequence[socket.socket], variables: Mapping[str, str], *, kept: Sequence[int]
) -> asyncio.subprocess.Process:
    descriptors = [one.fileno() for one in sockets]
    return await asyncio.create_subprocess_exec(
        *command,
        ",".join(map(str, descriptors)),
        pass_fds=[*descriptors, *kept],
        env={**os.environ, **variables},
        # Its own group: signals from the terminal go to the supervisor only.
        process_group=0,
    )
