"""HTTP servers on the loopback interface: the server that ``addonkit serve`` runs, in this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from addonkit.errors import AddonkitError
from addonkit.log import structlog
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import BACKLOG
from addonkit.testing.asgi import Application, LifespanFailed, lifespan

log = structlog.get_logger()

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

    The block is entered once the application has started and the server accepts connections. An application that does
    not answer lifespan messages is served without them.

    Raises:
        StartFailed: The application could not start.
    """
    address, port = sock.getsockname()[:2]
    server = HypercornServer(app, sock)  # From here on the server owns the socket.
    try:
        async with _lifespan(app):
            sock.listen(BACKLOG)
            sock.setblocking(False)
            await server.open()
            try:
                yield f"http://{address}:{port}"
            finally:
                await _close(server)
    finally:
        await server.abort()


@asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(lifespan(app))
        except LifespanFailed as failed:
            raise StartFailed(failed.reason) from None
        except Exception as error:
            # By the ASGI specification, an application that raises wants no lifespan messages.
            log.warning("lifespan.unsupported", reason=type(error).__name__)
        yield


async def _close(server: HypercornServer) -> None:
    """Let requests in progress continue for a moment, and cancel those that do not end."""
    server.close(0)
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await server.wait_closed()
    await server.abort()
