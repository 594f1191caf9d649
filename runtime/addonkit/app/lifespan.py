"""Answers the lifespan messages of an ASGI server: starts and stops an application."""

from __future__ import annotations

from typing import Protocol

from addonkit.edge.request import Message, Receive, Send
from addonkit.errors import AddonkitError


class Startable(Protocol):
    """What starts and stops with the server."""

    async def start(self) -> None:
        """Start it."""

    async def stop(self) -> bool:
        """Stop it; return whether everything ended in time."""


async def serve_lifespan(application: Startable, receive: Receive, send: Send) -> None:
    """Start the application when the server asks for it, and stop it when the server stops."""
    while True:
        message: Message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await application.start()
            except AddonkitError as wrong:
                await application.stop()
                await send({"type": "lifespan.startup.failed", "message": str(wrong)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await application.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
