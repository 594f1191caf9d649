"""Serving an add-on from this process: from the first connection to the last."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from addonkit.errors import AddonkitError
from addonkit.log import structlog
from addonkit.server.front import HttpServer
from addonkit.server.shutdown import Shutdown, ShutdownMode
from addonkit.server.tls import Tls

# How long an idle connection may be used once more after clients are told to go elsewhere.
IDLE_S = 5.0
# How long a new connection has for its first request when the listener closes.
FRESH_S = 0.5
# Longest time for background tasks to end.
TASKS_S = 10.0

ServerName = Literal["hypercorn", "granian"]

log = structlog.get_logger()


class Served(Protocol):
    """An ASGI application with a life of its own.

    Attributes:
        draining: Set once this process is to end.
        operations: What operators look at, an ASGI application for a second listener.
    """

    draining: bool
    operations: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's worth of ASGI."""

    async def start(self) -> None:
        """Begin what goes on in the background."""

    async def stop(self) -> bool | None:
        """End it; False tells that something was cut off."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets.

    Attributes:
        public: What the host and browsers reach.
        operations: What operators reach, if that is another.
    """

    public: socket.socket
    operations: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve.

    Attributes:
        server: What speaks HTTP.
        tls: What HTTPS is served with, if it is.
        drain_s: Seconds between the end being known at /readyz and the closing of the listener.
        stop_s: Longest time that requests under way get to end.
    """

    server: ServerName = "hypercorn"
    tls: Tls | None = None
    drain_s: float = 5.0
    stop_s: float = 30.0


async def serve(
    addon: Served, listeners: Listeners, serving: Serving, ending: Shutdown, on_ready: Callable[[], None]
) -> bool:
    """Serve until the end is asked for; give whether all that was begun was also finished.

    Args:
        addon: What is served.
        listeners: Where.
        serving: How.
        ending: Says when and how to end.
        on_ready: Called once connections are taken.

    Raises:
        AddonkitError: The add-on could not start.
    """
    asyncio.get_running_loop().set_exception_handler(_told)
    public = _front(serving.server, addon, listeners.public, serving.tls)
    operations = _front("hypercorn", addon.operations, listeners.operations) if listeners.operations else None
    try:
        await addon.start()
        for front in (public, operations):
            if front is not None:
                await front.open()
        on_ready()
        await _either(ending.asked.wait(), public.gone())
        if not ending.asked.is_set():
            raise AddonkitError(
                f"the server {serving.server} has stopped by itself; look into the log, and start again"
            )
        is_whole = await _finish(addon, public, serving, ending)
        if operations is not None:
            operations.close(0)
            await operations.cut()
    finally:
        is_stopped = await _stopped(addon)
    return is_whole and is_stopped


async def _finish(addon: Served, front: HttpServer, serving: Serving, ending: Shutdown) -> bool:
    """Let clients go elsewhere and requests end; give whether none was cut off."""
    loop = asyncio.get_running_loop()
    idle_until = loop.time() + IDLE_S
    log.info("ending", manner=ending.manner.name.lower() if ending.manner else None)
    addon.draining = True
    front.drain()
    if ending.manner is ShutdownMode.GRACEFUL:
        await ending.pause(serving.drain_s)
    front.close(0 if ending.manner is ShutdownMode.FAST else max(FRESH_S, idle_until - loop.time()))
    await _either(front.gone(), ending.pause(serving.stop_s))
    if cut := await front.cut():
        log.warning("requests were cut off", count=cut)
    return not cut


async def _stopped(addon: Served) -> bool:
    """Stop what the add-on does in the background; give whether it ended."""
    try:
        async with asyncio.timeout(TASKS_S):
            return await addon.stop() is not False
    except TimeoutError:
        log.warning("background tasks were cut off", after_s=TASKS_S)
        return False


async def _either(*events: Awaitable[object]) -> None:
    """Wait for the first of these."""
    tasks = [asyncio.ensure_future(event) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _front(server: ServerName, app: Any, listener: socket.socket, tls: Tls | None = None) -> HttpServer:
    # each is imported where it is wanted: both cost time and memory
    if server == "granian":
        from addonkit.server.granian_server import GranianServer

        return GranianServer(app, listener, tls)
    from addonkit.server.hypercorn_server import HypercornServer

    return HypercornServer(app, listener, tls)


def _told(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the loop reports in our words; a client that breaks off a handshake is no event."""
    error = context.get("exception")
    if not isinstance(error, (ssl.SSLError, ConnectionError)):
        log.error("loop", message=context.get("message"), exc_info=error)
