"""Granian's embedded server on a socket of ours.

It closes its listener and idle connections in one moment, so that the listener is kept open until clients have been
told to go elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from addonkit.edge.request import Message, Receive, Scope, Send
from addonkit.errors import SettingsInvalid
from addonkit.server.sockets import BACKLOG
from addonkit.server.tls import Tls


class GranianServer:
    """Serves an ASGI application on one socket.

    Args:
        app: The application.
        listener: A bound socket, which this owns from here on.
        tls: What HTTPS is served with; None serves HTTP.

    Raises:
        SettingsInvalid: granian is not installed.
    """

    def __init__(self, app: Any, listener: socket.socket, tls: Tls | None = None) -> None:
        self._app, self._listener = app, listener
        self._is_draining = False
        self._under_way = 0
        self._server = _server(self._answer, listener, tls)
        self._running: asyncio.Task[Any] | None = None
        self._closing: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Take connections from now on."""
        self._running = asyncio.create_task(self._server.serve(), name="granian")

    def drain(self) -> None:
        """Have clients go elsewhere after the answers that they wait for; who comes is still served."""
        self._is_draining = True

    def close(self, idle_s: float) -> None:
        """Take no new connections after so many seconds, and close those that nothing happens on."""
        self.drain()
        self._closing = asyncio.get_running_loop().call_later(idle_s, self._server.stop)

    async def gone(self) -> None:
        """Wait until the last connection has ended after ``close``, or the server has broken down."""
        if self._running is not None:
            await asyncio.wait({self._running})

    async def cut(self) -> int:
        """End what is left; give how many requests were under way."""
        under_way = self._under_way
        if self._running is not None:
            self._server.stop()
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        return under_way

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if self._is_draining and message["type"] == "http.response.start" and scope["http_version"][0] == "1":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        self._under_way += 1
        try:
            await self._app(scope, receive, sending)
        finally:
            self._under_way -= 1


def _server(app: Any, listener: socket.socket, tls: Tls | None) -> Any:
    try:
        from granian import net
        from granian.constants import Interfaces, SSLProtocols
        from granian.server.embed import Server
    except ImportError:
        raise SettingsInvalid("granian is not installed; install 'addonkit[granian]', or leave --server away") from None
    # its types leave out how it is made from a socket that is there already, which its own processes do as well
    holder: Any = vars(net)["SocketHolder"]

    class OnOurSocket(Server):
        """Takes a socket that is bound already, in place of an address."""

        _ssp: Any
        _shd: Any

        def _init_shared_socket(self) -> None:
            is_unix = listener.family == socket.AF_UNIX
            self._ssp, self._shd = None, holder(listener.detach(), is_unix, BACKLOG)

    return OnOurSocket(
        app,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        backlog=BACKLOG,
        ssl_cert=tls.certificate if tls else None,
        ssl_key=tls.key if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
