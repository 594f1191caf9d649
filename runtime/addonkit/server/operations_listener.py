"""The operations listener of a process that serves nothing else: probes and metrics of ``addonkit work``.

Without an address of its own, ``addonkit work`` uses that of ``addonkit serve``. If both run on one machine, the
serving process gets it: the worker waits while the address is in use, and closes its listener when a serving process
asks for the address through an abstract Unix socket (Linux only).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from addonkit.log import structlog
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import AddressUnavailable, address_of, bound_socket, release

OPTION, OWN_OPTION = "[operations] bind", "[operations] work_bind"
RETRY_S = 5.0
"""How long to wait before an address is tried again."""
HANDOVER_S = 3.0
"""Longest time for a worker to close its listener after it was asked to."""

log = structlog.get_logger(__name__)


class OperationsListener:
    """Serves the operator's endpoints on an address, as long as the address can be had.

    Args:
        app: The ASGI application.
        bind: The address, in the form of ``--bind``.
        is_shared: Whether ``addonkit serve`` uses the same address. Then one that is in use is tried again, and handed
            over when a serving process asks; otherwise it must be free.

    Raises:
        SettingsInvalid: The address has another form.
        AddressUnavailable: An address of its own cannot be bound.
    """

    def __init__(self, app: Any, bind: str, *, is_shared: bool) -> None:
        self._app, self._bind, self._is_shared = app, bind, is_shared
        self._listener = self._bound()

    @property
    def address(self) -> str | None:
        """Where it listens now; None while the address is in use elsewhere."""
        return None if self._listener is None else address_of(self._listener)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                if self._listener is not None:
                    await self._serve(self._listener)
                await asyncio.sleep(RETRY_S)
                self._listener = self._bound(is_first=False)
        finally:
            self.close()

    def close(self) -> None:
        """Close the listener."""
        if self._listener is not None:
            release(self._listener, self._bind)
            self._listener = None

    async def _serve(self, listener: socket.socket) -> None:
        """Serve until a process that serves the add-on asks for the address."""
        with ExitStack() as stack:
            asked = asyncio.Event()
            if self._is_shared:
                stack.enter_context(_handing_over(self._bind, asked))
            server = HypercornServer(self._app, listener.dup())
            await server.open()
            try:
                await asked.wait()
            finally:
                server.close(0)
                await server.abort()
                self.close()
        log.warning("operations.handed_over", bind=self._bind, remedy=_REMEDY)

    def _bound(self, *, is_first: bool = True) -> socket.socket | None:
        try:
            return bound_socket(self._bind, OPTION if self._is_shared else OWN_OPTION)
        except AddressUnavailable as unavailable:
            if not self._is_shared:
                raise
            if is_first:
                log.warning("operations.not_bound", reason=str(unavailable), remedy=_REMEDY)
            return None


_REMEDY = f"set {OWN_OPTION} to an address of its own for 'addonkit work'"


@contextmanager
def _handing_over(bind: str, asked: asyncio.Event) -> Iterator[None]:
    """Set an event when another process asks for an address, during the block.

    The other process connects to an abstract Unix socket, which belongs to the same network namespace as the address,
    and waits for the end of the connection.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:

        def accept(listener: socket.socket) -> None:
            with suppress(OSError):
                asking, _ = listener.accept()
                stack.callback(asking.close)  # with the block: the listener of the address is closed by then
            asked.set()

        # Without abstract sockets, or if another worker has this one, a serving process reports the address as in use.
        with suppress(OSError):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(_handover_address(bind))
            listener.listen(1)
            listener.setblocking(False)
            loop.add_reader(listener, accept, listener)
            stack.callback(loop.remove_reader, listener)
        yield


def bound_operations_socket(bind: str) -> socket.socket:
    """Bind the operations listener of a serving process; a worker that has the address is asked to close its own.

    Raises:
        SettingsInvalid: The address has another form.
        AddressUnavailable: The address cannot be bound.
    """
    try:
        return bound_socket(bind, OPTION)
    except AddressUnavailable:
        if not _ask_for(bind):
            raise
        return bound_socket(bind, OPTION)


def _ask_for(bind: str) -> bool:
    """Ask a worker for an address; return whether one has closed its listener."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(HANDOVER_S)
        asking.connect(_handover_address(bind))
        return asking.recv(1) == b""
    return False


def _handover_address(bind: str) -> str:
    return f"\0addonkit/operations/{bind}"[:100]
