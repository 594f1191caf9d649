"""One engine in a process of its own: ``driver.py ENGINE DATABASE MODE …``; runs in the environment of the engine.

Modes:
    ``rate COUNT``: enqueue jobs of 64 sites, run them, and print jobs per second by clock and by CPU time.
    ``lone COUNT``: enqueue jobs of one site, run them, and print how long a job of another site waits, in seconds.
    ``put COUNT``: enqueue jobs of 64 sites.
    ``work NAME LOG``: run jobs of one second until killed; the log gets a line when a job begins and when it ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import uvloop

SITES = 64
STEP = 500
CONCURRENCY = 32
"""Jobs that a worker runs at the same time, in all engines: the default of ``[jobs] concurrency``."""
BUSY_AFTER = 500
LONE, MANY = "lone", "many"
JOB_S = 1.0
Handler = Callable[[str, int], Awaitable[None]]
Job = tuple[str, int]
"""Site and number."""


class Engine(Protocol):
    """A queue with a worker."""

    async def put(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs in one step, as the engine's documentation recommends for many."""

    def running(self, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Run a worker for the duration of the block."""


async def rate(engine: Engine, count: int) -> dict[str, float]:
    """Run jobs of many sites; the time is that from the first job to the last."""
    await fill(engine, [(f"site-{number % SITES}", number) for number in range(count)])
    done, ended = 0, asyncio.Event()
    began = 0.0, 0.0

    async def handler(_: str, __: int) -> None:
        nonlocal done, began
        if not done:
            began = time.perf_counter(), time.process_time()
        done += 1
        if done == count:
            ended.set()

    async with engine.running(handler):
        await ended.wait()
        clock, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"clock": count / clock, "cpu": count / cpu}


async def lone(engine: Engine, count: int) -> dict[str, float]:
    """Enqueue one job of a site while many of another one wait."""
    await fill(engine, [(MANY, number) for number in range(count)])
    done, busy, ended = 0, asyncio.Event(), asyncio.Event()

    async def handler(site: str, _: int) -> None:
        nonlocal done
        done += 1
        if done == BUSY_AFTER:
            busy.set()
        if site == LONE:
            ended.set()

    async with engine.running(handler):
        await busy.wait()
        began = time.perf_counter()
        await engine.put([(LONE, 0)])
        await ended.wait()
        waited = time.perf_counter() - began
    return {"clock": waited, "cpu": waited}


async def fill(engine: Engine, jobs: Sequence[Job]) -> None:
    """Enqueue jobs in steps."""
    for first in range(0, len(jobs), STEP):
        await engine.put(jobs[first : first + STEP])


def logged(file: int) -> Handler:
    """Return a handler that takes a second, and writes when each job begins and ends."""

    def write(event: str, number: int) -> None:
        line = {"event": event, "job": number, "process": os.getpid(), "at": time.time()}
        os.write(file, f"{json.dumps(line)}\n".encode())

    async def handler(_: str, number: int) -> None:
        write("begin", number)
        await asyncio.sleep(JOB_S)
        write("end", number)

    return handler


def opened(log: str) -> int:
    """Open a log to which several processes append whole lines."""
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def main(name: str, database: str, mode: str, *words: str) -> None:
    """Run one mode and print its figures."""
    module = importlib.import_module(f"on_{name}")
    async with module.engine(database, words[0] if mode == "work" else "driver") as engine:
        if mode == "work":
            async with engine.running(logged(opened(words[1]))):
                await asyncio.Event().wait()
        elif mode == "put":
            await fill(engine, [(f"site-{number % SITES}", number) for number in range(int(words[0]))])
            figures = {}
        else:
            figures = await (rate if mode == "rate" else lone)(engine, int(words[0]))
    sys.stdout.write("\n" + json.dumps(figures) + "\n")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
