"""Continuous requests over kept-alive connections, without retries."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Load:
    """Responses to many concurrent visitors.

    Attributes:
        address: Host and port of the server.
        paths: Paths that are requested at random.
        statuses: Number of responses by status.
        failures: Errors that occurred in place of a response.
        connections: Number of connections that were opened.
        may_connect: Whether visitors open new connections, or only use those that they have.
    """

    address: str
    paths: tuple[str, ...]
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    connections: int = 0
    may_connect: bool = True
    _connecting: int = 0
    _stopping: bool = False

    @asynccontextmanager
    async def running(self, visitors: int = 12) -> AsyncIterator[Load]:
        """Send requests for the duration of the block."""
        tasks = [asyncio.create_task(self._visit(random.Random(number))) for number in range(visitors)]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def answered(self, more: int = 100) -> None:
        """Wait until so many more requests were answered."""
        target = self.statuses.total() + more
        async with asyncio.timeout(60):
            while self.statuses.total() < target and not self.failures:  # noqa: ASYNC110 - plainer than an event
                await asyncio.sleep(0.01)

    async def connected(self) -> None:
        """Open no new connections from now on, and wait for those that are being opened."""
        self.may_connect = False
        while self._connecting:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.01)

    async def _visit(self, chance: random.Random) -> None:
        while not self._stopping:
            if not self.may_connect:
                await asyncio.sleep(0.01)
                continue
            try:
                await self._use_connection(chance)
            except (OSError, EOFError, ValueError) as wrong:
                self.failures.append(f"{type(wrong).__name__}: {wrong}")

    async def _use_connection(self, chance: random.Random) -> None:
        host, _, port = self.address.rpartition(":")
        self._connecting += 1
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        finally:
            self._connecting -= 1
        self.connections += 1
        try:
            while not self._stopping:
                writer.write(f"GET {chance.choice(self.paths)} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
                if not await self._is_kept(reader):
                    return
                # some visitors come back at once and some after a while
                await asyncio.sleep(chance.choice((0, 0, 0.01, 0.3)))
        finally:
            writer.close()

    async def _is_kept(self, reader: asyncio.StreamReader) -> bool:
        """Read a response; return whether the connection can be reused."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        await reader.readexactly(length)
        self.statuses[int(head.split()[1])] += 1
        return "connection: close" not in head
