"""Serves an add-on from this process, from the first connection to the end of the shutdown."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol

from addonkit.errors import AddonkitError
from addonkit.log import structlog
from addonkit.server.shutdown import Shutdown, ShutdownMode
from addonkit.server.tls import Tls

# How long an idle connection may still be used after clients are asked to close it.
IDLE_S = 5.0
# How long a new connection has for its first request after the listener closes.
FIRST_REQUEST_S = 0.5
# Longest time from the end of the drain to the closed listener: granian closes it after the idle connections.
MAX_CLOSE_S = IDLE_S + 2.0
# Longest time for background tasks to stop, beyond what running jobs get.
BACKGROUND_STOP_S = 15.0

ServerName = Literal["hypercorn", "granian"]

log = structlog.get_logger()


class Application(Protocol):
    """An ASGI application with background work.

    Attributes:
        draining: Set once a shutdown has begun; /readyz then answers 503.
        operations: ASGI application for the operators' listener.
    """

    draining: bool
    operations: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

    async def start(self) -> None:
        """Start background work."""

    async def stop(self) -> bool | None:
        """Stop background work; False if some of it was cancelled."""

    def hurry(self) -> None:
        """Let ``stop`` wait no longer for background work."""


class HttpServer(Protocol):
    """An HTTP server on one socket."""

    async def open(self) -> None:
        """Start to accept connections."""

    def drain(self) -> None:
        """Ask clients to close their connections after the current response; new connections are still accepted."""

    def close(self, idle_s: float, *, refuse: bool = False, on_closed: Callable[[], None] = lambda: None) -> None:
        """Stop accepting connections; close idle connections after this many seconds.

        With ``refuse``, no other process goes on accepting: new connections are refused, and none that was established
        is left without an answer. ``on_closed`` is called when the listener is closed.
        """

    async def wait_closed(self) -> None:
        """Wait until the last connection has closed after ``close``, or the server has failed."""

    async def abort(self) -> int:
        """Close all remaining connections; return the number of requests that were in progress."""


class Listeners(NamedTuple):
    """Bound sockets.

    Attributes:
        public: For the host and browsers.
        operations: For operators; None if they use the public one.
    """

    public: socket.socket
    operations: socket.socket | None = None


class ServerOptions(NamedTuple):
    """Options of one serving process.

    Attributes:
        server: Which HTTP server to use.
        tls: Certificate and key for HTTPS; None serves HTTP.
        drain_s: Seconds between /readyz answering 503 and the closing of the listener.
        stop_s: Longest time for requests in progress, and for running jobs, to complete.
    """

    server: ServerName = "hypercorn"
    tls: Tls | None = None
    drain_s: float = 5.0
    stop_s: float = 30.0


async def serve(
    addon: Application,
    listeners: Listeners,
    options: ServerOptions,
    shutdown: Shutdown,
    on_ready: Callable[[], None],
    on_closed: Callable[[], None] = lambda: None,
) -> bool:
    """Serve until a shutdown is requested; return whether all requests and background tasks were completed.

    Args:
        addon: What to serve.
        listeners: Sockets to accept connections on.
        options: How to serve.
        shutdown: When and how to stop.
        on_ready: Called once connections are accepted.
        on_closed: Called once the public listener is closed at shutdown.

    Raises:
        AddonkitError: The add-on could not start, or the HTTP server failed.
    """
    asyncio.get_running_loop().set_exception_handler(_log_loop_error)
    public = _http_server(options.server, addon, listeners.public, options.tls)
    operations = _http_server("hypercorn", addon.operations, listeners.operations) if listeners.operations else None
    try:
        await addon.start()
        for server in (public, operations):
            if server is not None:
                await server.open()
        on_ready()
        await _wait_first(shutdown.requested.wait(), public.wait_closed())
        if not shutdown.requested.is_set():
            raise AddonkitError(f"the server {options.server} has stopped unexpectedly; read its log, and start again")
        is_complete = await _shut_down(addon, public, options, shutdown, on_closed)
        if operations is not None:
            operations.close(0)
            await operations.abort()
    finally:
        is_stopped = await _stop_background(addon, options, shutdown)
    return is_complete and is_stopped


async def _shut_down(
    addon: Application,
    server: HttpServer,
    options: ServerOptions,
    shutdown: Shutdown,
    on_closed: Callable[[], None],
) -> bool:
    """Ask clients to close their connections and complete requests; return whether no request was aborted."""
    loop = asyncio.get_running_loop()
    idle_until = loop.time() + IDLE_S
    log.info("shutdown.started", mode=shutdown.mode.name.lower() if shutdown.mode else None)
    addon.draining = True
    server.drain()
    if shutdown.mode is ShutdownMode.GRACEFUL:
        await shutdown.pause(options.drain_s)
    server.close(
        0 if shutdown.mode is ShutdownMode.FAST else max(FIRST_REQUEST_S, idle_until - loop.time()),
        refuse=shutdown.mode is ShutdownMode.GRACEFUL,
        on_closed=on_closed,
    )
    await _wait_first(server.wait_closed(), shutdown.pause(options.stop_s))
    if aborted := await server.abort():
        log.warning("requests.aborted", count=aborted)
    return not aborted


async def _stop_background(addon: Application, options: ServerOptions, shutdown: Shutdown) -> bool:
    """Stop the add-on's background work; give whether it stopped by itself. Once aborted, nothing is waited for."""
    stopping = asyncio.ensure_future(addon.stop())
    aborted = asyncio.create_task(shutdown.aborted.wait())
    aborted.add_done_callback(lambda task: None if task.cancelled() else addon.hurry())
    try:
        async with asyncio.timeout(options.stop_s + BACKGROUND_STOP_S):
            return await stopping is not False
    except TimeoutError:
        log.warning("background.aborted", after_s=options.stop_s + BACKGROUND_STOP_S)
        return False
    finally:
        aborted.cancel()


async def _wait_first(*awaitables: Awaitable[object]) -> None:
    """Wait for the first of these, and cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _http_server(name: ServerName, app: Any, listener: socket.socket, tls: Tls | None = None) -> HttpServer:
    # Imported here: a process uses one of them, and each costs time and memory.
    if name == "granian":
        from addonkit.server.granian_server import GranianServer

        return GranianServer(app, listener, tls)
    from addonkit.server.hypercorn_server import HypercornServer

    return HypercornServer(app, listener, tls)


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that reached the event loop, except for connections that a client has aborted."""
    error = context.get("exception")
    if not isinstance(error, (ssl.SSLError, ConnectionError)):
        log.error("loop.failed", message=context.get("message"), exc_info=error)
