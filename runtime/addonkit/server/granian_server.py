"""granian's embedded server on a socket that is bound already.

granian closes its listener and its idle connections at the same time. Therefore it is stopped some seconds after
``Connection: close`` was first sent, and accepts no connection in the last half second.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from addonkit.edge.request import Message, Receive, Scope, Send
from addonkit.errors import SettingsInvalid
from addonkit.pinned import require_version
from addonkit.server.head_limit import is_head_too_large, refuse_head
from addonkit.server.sockets import BACKLOG, copies_of, refuse_connections
from addonkit.server.tls import Tls

# How long a connection has for its first request after new ones are refused.
FIRST_REQUEST_S = 0.5
# How long requests that are aborted may take to end.
CANCEL_S = 2.0


class GranianServer:
    """Serves an ASGI application on one socket.

    Args:
        app: The application.
        listener: A bound socket, which this object owns from now on.
        tls: Certificate and key for HTTPS; None serves HTTP.

    Raises:
        SettingsInvalid: granian is not installed.
        VersionMismatch: Another version of granian is installed.
    """

    def __init__(self, app: Any, listener: socket.socket, tls: Tls | None = None) -> None:
        self._app = app
        # granian takes the socket itself.
        self._listener = listener.dup()
        self._is_draining = self._is_aborted = False
        self._requests: set[asyncio.Task[Any]] = set()
        self._server = _server(self._answer, listener, tls)
        self._running: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to accept connections."""
        self._running = asyncio.create_task(self._server.serve(), name="granian")

    def drain(self) -> None:
        """Ask clients to close their connections after the current response; new connections are still accepted."""
        self._is_draining = True

    def close(self, idle_s: float, *, refuse: bool = False, on_closed: Callable[[], None] = lambda: None) -> None:
        """Close the listener and all idle connections after this many seconds.

        With ``refuse``, new connections are refused in the last half second, so that established ones have had time for
        their first request. ``on_closed`` is called when the listener is closed.
        """
        self.drain()
        self._closing = asyncio.create_task(self._close(idle_s, refuse, on_closed))

    async def _close(self, idle_s: float, refuse: bool, on_closed: Callable[[], None]) -> None:
        first_request_s = min(FIRST_REQUEST_S, idle_s)
        await asyncio.sleep(idle_s - first_request_s)
        if refuse:
            refuse_connections(self._listener, may_shut_down=False)
        else:
            self._leave_listener()
        await asyncio.sleep(first_request_s)
        self._stop()
        on_closed()

    def _leave_listener(self) -> None:
        """Accept nothing more in this process, while others go on with the same socket.

        granian has no call for that: its descriptors of the socket are replaced by one that nobody connects to.
        """
        with suppress(OSError), socket.create_server(("127.0.0.1", 0)) as unused:
            unused.setblocking(False)
            for descriptor in copies_of(self._listener):
                os.dup2(unused.fileno(), descriptor, inheritable=False)

    def _stop(self) -> None:
        self._listener.close()
        self._server.stop()

    async def wait_closed(self) -> None:
        """Wait until the last connection has closed after ``close``, or the server has failed."""
        if self._running is not None:
            await asyncio.wait({self._running})

    async def abort(self) -> int:
        """Close all remaining connections; return the number of requests that were in progress."""
        requests, self._is_aborted = set(self._requests), True
        if self._running is not None:
            self._stop()
            # granian would let them go on, while the add-on stops.
            for request in requests:
                request.cancel()
            if requests:
                await asyncio.wait(requests, timeout=CANCEL_S)
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        return len(requests)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_close(message: Message) -> None:
            if self._is_draining and message["type"] == "http.response.start" and scope["http_version"][0] == "1":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        if self._is_aborted:
            # granian reads requests of open connections until it has ended, and the add-on stops meanwhile.
            headers = [(b"connection", b"close")] if scope["http_version"][0] == "1" else []
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        request: Any = asyncio.current_task()  # granian runs each request in a task
        self._requests.add(request)
        try:
            if scope["type"] == "http" and is_head_too_large(scope):
                await refuse_head(scope, send)
                return
            await self._app(scope, receive, send_with_close)
        finally:
            self._requests.discard(request)


async def _until_ended(worker: Coroutine[Any, Any, None]) -> None:
    """Run granian's worker, which starts a thread and awaits a future, without cancelling that future.

    When the last connection has closed, granian sets the future's result. At an aborted shutdown it would set it after
    the cancellation, and the event loop would log an error.
    """
    try:
        ended = worker.send(None)
        ended._asyncio_future_blocking = False  # noqa: SLF001 - as a task does with a future that it awaits
        await asyncio.shield(ended)
    finally:
        worker.close()


def require_granian() -> None:
    """Check that granian can serve.

    Raises:
        SettingsInvalid: granian is not installed.
        VersionMismatch: Another version of granian is installed.
    """
    if find_spec("granian") is None:
        raise SettingsInvalid(
            "--server or [server] server is 'granian', which is not installed; install 'addonkit[granian]', or select "
            "'hypercorn'"
        )
    require_version("granian", "2.8.7", because="the way its embedded server opens its socket")


def _server(app: Any, listener: socket.socket, tls: Tls | None) -> Any:
    require_granian()
    from granian.constants import Interfaces, SSLProtocols
    from granian.net import SocketHolder  # type: ignore[attr-defined]
    from granian.server.embed import Server

    holder: Any = SocketHolder  # the types of granian omit name and constructor

    class BoundServer(Server):
        """Uses a socket that is bound already, in place of an address."""

        _ssp: Any
        _shd: Any

        def _init_shared_socket(self) -> None:
            # granian's own worker processes make the holder of a socket in the same way.
            is_unix = listener.family == socket.AF_UNIX
            self._ssp, self._shd = None, holder(listener.detach(), is_unix, BACKLOG)

        @staticmethod
        async def _spawn_asgi_worker(*words: Any) -> None:
            await _until_ended(Server._spawn_asgi_worker(*words))  # noqa: SLF001 - of the pinned version

    return BoundServer(
        app,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        backlog=BACKLOG,
        ssl_cert=tls.certificate if tls else None,
        ssl_key=tls.key if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
