"""A service manager as a process sees it: a datagram socket that receives its notifications."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.served import until


class Notifications:
    """The notifications that a process has sent.

    Args:
        receiver: The socket.
        variables: The environment that makes a process send them there.
    """

    def __init__(self, receiver: socket.socket, variables: dict[str, str]) -> None:
        self._receiver, self.variables = receiver, variables
        self.received: list[dict[str, str]] = []

    def words(self) -> list[str]:
        """Read what has arrived; give the first variable of each notification, such as ``READY``."""
        while True:
            try:
                lines = self._receiver.recv(4096).decode().splitlines()
            except BlockingIOError:
                return [next(iter(one)) for one in self.received]
            self.received.append(dict(line.split("=", 1) for line in lines))

    def states(self) -> list[str]:
        """Give the words without the pings of the watchdog."""
        return [word for word in self.words() if word != "WATCHDOG"]

    async def until(self, *states: str) -> None:
        """Wait until exactly these states were reported."""
        await until(lambda: self.states() == list(states), 60)

    async def until_pinged(self, times: int) -> None:
        """Wait for further pings of the watchdog."""
        before = self.words().count("WATCHDOG")
        await until(lambda: self.words().count("WATCHDOG") >= before + times, 60)


@contextmanager
def notified(folder: Path, *, abstract: bool = False, watchdog_s: float | None = None) -> Iterator[Notifications]:
    """Receive notifications for the block."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{path}" if abstract else str(path))
        receiver.setblocking(False)
        variables = {"NOTIFY_SOCKET": f"@{path}" if abstract else str(path)}
        variables |= {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))} if watchdog_s is not None else {}
        yield Notifications(receiver, variables)
