"""HTTP servers on the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from addonkit.errors import AddonkitError
from addonkit.testing.asgi import Application

GRACE_S = 0.5
"""How long requests in progress may continue when the server stops."""


class StartFailed(AddonkitError):
    """The application could not start; the message gives its reason."""


def bind(port: int = 0, address: str = "127.0.0.1") -> socket.socket:
    """Bind a socket to a port, or to a free port if it is 0.

    Raises:
        OSError: The port is in use.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


@asynccontextmanager
async def serving(app: Application, sock: socket.socket) -> AsyncIterator[str]:
    """Serve an application on a socket, closed at the end of the block; yields the base URL.

    The block is entered once the application has started and the server accepts connections.

    Raises:
        StartFailed: The application could not start.
    """
    address, port = sock.getsockname()[:2]
    stop, requests = asyncio.Event(), _Requests(app)
    server = asyncio.create_task(_serve(requests, _hypercorn_config(sock), stop))
    try:
        await _wait_until_open(server, address, port)
        yield f"http://{address}:{port}"
    finally:
        stop.set()
        await asyncio.wait({server}, timeout=GRACE_S)
        requests.cancel()
        await asyncio.wait({server})
    await server


class _Requests:
    """An application whose requests in progress can be cancelled.

    Since Python 3.12, ``asyncio.Server.wait_closed`` waits for them, and hypercorn calls it before its own timeout.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        task = asyncio.current_task()
        if task is None or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._tasks.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._tasks.discard(task)

    def cancel(self) -> None:
        """Cancel all requests in progress."""
        for task in self._tasks:
            task.cancel()


async def _serve(app: Application, config: Config, stop: asyncio.Event) -> None:
    try:
        await serve(cast("Any", app), config, shutdown_trigger=stop.wait)
    except LifespanFailureError as error:
        raise StartFailed(str(error).removeprefix("Lifespan failure in startup. ").strip("'\"")) from None


def _hypercorn_config(sock: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]  # From here on the server owns and closes the socket.
    config.loglevel = "WARNING"
    config.graceful_timeout = GRACE_S
    return config


async def _wait_until_open(server: asyncio.Task[None], address: str, port: int) -> None:
    while not server.done():
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)
    await server
