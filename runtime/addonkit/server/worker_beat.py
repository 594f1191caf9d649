"""The beat of a worker process: bytes that its event loop sends to the supervisor while the service manager watches.

The supervisor kills a worker whose beat stops, because its event loop is blocked, and starts another one.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from addonkit.server.service_manager import PINGS

BEAT = b"~"
VARIABLE = "ADDONKIT_BEAT_S"
"""Names the environment variable with the longest time between two beats, in seconds."""


@asynccontextmanager
async def beating(channel: socket.socket) -> AsyncIterator[None]:
    """Send beats to the supervisor for the block, if it has asked for them.

    Args:
        channel: This process's end of the channel to the supervisor.
    """
    longest_s = os.environ.pop(VARIABLE, "")
    if not longest_s:
        yield
        return
    task = asyncio.create_task(_beat(channel, float(longest_s) / PINGS), name="beat")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(channel: socket.socket, interval_s: float) -> None:
    while True:
        # A supervisor that does not read, or has died, must not stop its workers.
        with suppress(OSError):
            channel.send(BEAT)
        await asyncio.sleep(interval_s)
