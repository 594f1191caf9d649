"""Sends requests at a fixed rate, whether or not the former ones were answered, and measures the response times.

wrk sends a request when the former one was answered, so a server that pauses gets fewer requests meanwhile, and its
pauses hardly count. Here a response time begins when the request was due.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence

from machine import BenchError

CONNECTIONS = 64
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


async def response_times(port: int, lines: Sequence[str], rate: float, seconds: float) -> list[float]:
    """Send requests at random times and return the response times in seconds, the shortest first.

    Args:
        port: Port of the server on the loopback interface.
        lines: Paths that are requested in turn.
        rate: Average number of requests per second.
        seconds: For how long.

    Raises:
        BenchError: A response has an error status or no length.
    """
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    requests = _Requests(port, opened)
    tasks: list[asyncio.Task[None]] = []
    due, chance = 0.0, random.Random(1)
    try:
        for number in range(max(1, int(rate * seconds))):
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, requests.begin + due - time.perf_counter()))
            tasks.append(asyncio.create_task(requests.send(lines[number % len(lines)], due)))
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)
    return sorted(requests.times)


class _Requests:
    """Sends requests over connections that it reuses, and keeps their response times."""

    def __init__(self, port: int, connections: Sequence[Connection]) -> None:
        self._port = port
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            self._idle.put_nowait(connection)
        self.begin, self.times = time.perf_counter(), list[float]()

    async def send(self, path: str, due: float) -> None:
        """Send a request that was due so many seconds after the beginning."""
        reader, writer = await self._idle.get()
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 2") or length is None:
            status = head.partition(b"\r\n")[0].decode(errors="replace")
            raise BenchError(f"a request at a fixed rate was answered with '{status}', expected 2xx with a length")
        await reader.readexactly(int(length[1]))
        self.times.append(time.perf_counter() - self.begin - due)
        self._idle.put_nowait((reader, writer))
