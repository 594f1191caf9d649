"""Requests at a fixed rate: response times count from when a request was due."""

from __future__ import annotations

import asyncio

import pytest
from half_load import response_times
from machine import BenchError


class Answers:
    """A server that answers each request, after a pause before a certain one."""

    def __init__(self, head: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", pause_s: float = 0.0):
        self.head, self.pause_s, self.seen = head, pause_s, []
        self.free = asyncio.Lock()
        self.writers = []

    async def __call__(self, reader, writer):
        self.writers.append(writer)
        while (line := await reader.readline()) != b"":
            if line.startswith(b"GET"):
                self.seen.append(line.split()[1].decode())
            if line == b"\r\n":
                async with self.free:
                    if len(self.seen) == 1:
                        await asyncio.sleep(self.pause_s)
                writer.write(self.head + b"ok")

    async def close(self):
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


async def run(answers, rate=200, seconds=0.5):
    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    async with server:
        try:
            return await response_times(server.sockets[0].getsockname()[1], ["/a", "/b"], rate, seconds)
        finally:
            await answers.close()


async def test_requests_are_sent_in_turn_and_their_times_sorted():
    answers = Answers()
    times = await run(answers)
    assert len(times) == len(answers.seen) == 100
    assert times == sorted(times)
    assert {"/a", "/b"} == set(answers.seen)


async def test_pause_of_the_server_counts_for_all_requests_that_were_due():
    times = await run(Answers(pause_s=0.3))
    assert sum(time > 0.05 for time in times) > 10


@pytest.mark.parametrize("head", [b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_response_that_failed_or_has_no_length_ends_the_measure(head):
    with pytest.raises(BenchError, match="expected 2xx with a length"):
        await run(Answers(head))
