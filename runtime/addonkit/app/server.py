"""Running an add-on on a real server: hypercorn in this process, or granian's embedded one."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from addonkit.app.addon import Addon
from addonkit.edge.inbound import Message, Receive, Scope, Send
from addonkit.errors import AddonkitError, SettingsInvalid

LARGEST_HEADERS = 24 * 1024


class AddressTaken(SettingsInvalid):
    """The address to listen on cannot be had."""


def bound_socket(bind: str) -> socket.socket:
    """A listening socket on ``HOST:PORT``; port 0 takes a free one.

    Raises:
        AddressTaken: It cannot be had.
    """
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise SettingsInvalid(f"--bind is '{bind}', expected HOST:PORT such as 127.0.0.1:8000")
    host = host.strip("[]") or "127.0.0.1"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as wrong:
        cure = "stop what is there, or name another with --bind"
        if wrong.errno == errno.EADDRNOTAVAIL:
            cure = "this machine has no such address; name one of its own with --bind"
        raise AddressTaken(f"cannot listen on '{bind}': {wrong.strerror}; {cure}") from None
    listener.listen(2048)
    listener.setblocking(False)
    return listener


async def serve_hypercorn(addon: Addon, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished.

    Raises:
        AddonkitError: The add-on could not start.
    """
    import hypercorn.asyncio
    from hypercorn.config import Config
    from hypercorn.utils import LifespanFailureError

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = LARGEST_HEADERS
    config.graceful_timeout = 10
    started = _Told(addon, on_ready)
    try:
        await hypercorn.asyncio.serve(started, config, shutdown_trigger=_stopped())  # type: ignore[arg-type]  # our ASGI words
    except LifespanFailureError as failed:
        raise AddonkitError(str(failed).removeprefix("Lifespan failure in startup. ").strip("'")) from None


async def serve_granian(addon: Addon, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on granian until SIGINT or SIGTERM.

    Raises:
        SettingsInvalid: granian is not installed.
    """
    try:
        from granian.constants import Interfaces
        from granian.server.embed import Server
    except ImportError:
        raise SettingsInvalid("granian is not installed; install 'addonkit[granian]', or leave --server away") from None
    host, port = listener.getsockname()[:2]
    listener.close()
    server = Server(_Told(addon, on_ready), host, port, interface=Interfaces.ASGI, websockets=False, log_enabled=False)
    running = asyncio.ensure_future(server.serve())
    stopping = asyncio.ensure_future(_stopped()())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()  # type: ignore[no-untyped-call]  # granian types none of it
    await running


class _Told:
    """An add-on that says when it has started."""

    def __init__(self, addon: Addon, on_ready: Callable[[], None]) -> None:
        self._addon, self._on_ready = addon, on_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass all on, and listen for the end of the start."""
        if scope["type"] != "lifespan":
            await self._addon(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                asyncio.get_running_loop().call_soon(self._on_ready)

        await self._addon(scope, receive, tell)


def _stopped() -> Callable[[], Awaitable[object]]:
    """Something to await that ends with SIGINT or SIGTERM."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked.wait
