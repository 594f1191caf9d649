"""Reports the state of this process to systemd, by the datagrams of ``sd_notify``: ready, reloading, stopping, alive.

systemd names its socket in ``NOTIFY_SOCKET`` and the interval of its watchdog in ``WATCHDOG_USEC``. Both are removed
from the environment, so that a child process neither reports for this one nor keeps it alive. Without them, nothing is
sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress

from addonkit.server.shutdown import Shutdown

SOCKET, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
PINGS = 3
"""Number of pings in one interval of the watchdog."""


class ServiceManager:
    """The service manager that has started this process.

    Args:
        address: Path of its socket, or ``@`` and the name of an abstract one; None or empty: there is none.
        watchdog_s: After so many seconds without a ping it ends this process; None: it expects none.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address if address and address.startswith(("/", "@")) else None
        self.watchdog_s = watchdog_s if self._address else None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
        """Read the variables that systemd has set for this process, and remove them."""
        address, interval, pid = (environment.pop(name, "") for name in (SOCKET, WATCHDOG, WATCHDOG_PID))
        is_ours = not pid or pid == str(os.getpid())
        is_number = interval.isascii() and interval.isdecimal() and int(interval) > 0
        return cls(address, int(interval) / 1e6 if is_ours and is_number else None)

    def ready(self, status: str) -> None:
        """Report that the process is ready, at its start or after a reload.

        Args:
            status: One line that ``systemctl status`` shows.
        """
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report that the configuration is being read again; ``ready`` reports its end."""
        # systemd compares the time with that of its own request: CLOCK_MONOTONIC, in microseconds.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the process is stopping."""
        self._send("STOPPING=1", "STATUS=stopping")

    @asynccontextmanager
    async def watching(self, shutdown: Shutdown, is_alive: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
        """Report the shutdown when it is requested, and ping the watchdog, for the block.

        The pings are sent by the event loop: if it is blocked, they stop.

        Args:
            shutdown: The shutdown of this process.
            is_alive: Whether the process need not be replaced.
        """
        if self._address is None:
            yield
            return
        tasks = [asyncio.create_task(self._report_shutdown(shutdown), name="service manager")]
        if self.watchdog_s is not None:
            tasks.append(asyncio.create_task(self._ping(self.watchdog_s / PINGS, is_alive), name="watchdog"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _report_shutdown(self, shutdown: Shutdown) -> None:
        await shutdown.requested.wait()
        self.stopping()

    async def _ping(self, interval_s: float, is_alive: Callable[[], bool]) -> None:
        while True:
            if is_alive():
                self._send("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # A leading NUL is the address of an abstract socket. A service manager that is gone must not stop the add-on.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
