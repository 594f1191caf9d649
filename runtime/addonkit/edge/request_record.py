"""What became of a request, for those who count and those who write it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addonkit.edge.request import Message, Send

RUNTIME = "addonkit"
"""Stands for a plugin's name where the runtime itself answers; no plugin may be called so."""
RECORD_KEY = "addonkit.outcome"
"""Where the ASGI scope holds it for the application."""


@dataclass(slots=True)
class RequestRecord:
    """Filled in on the way by whoever knows.

    Names are those in the code, never what the caller wrote: there are as many as the code has.

    Attributes:
        plugin: The plugin that answered, ``addonkit`` for the runtime, or nothing where it is nobody's.
        route: The endpoint's name, such as ``issue_panel.panel``; nothing where it is none's.
        client_key: The site, once it is verified.
        host_call: What kind of call of the host's it is, and which: ``("lifecycle", "installed")``.
        refused: The ``kind`` of the refusal, if it was one.
        status: The answer's; 0 until there is one.
        size: Bytes of the answer's body that were sent.
    """

    plugin: str = ""
    route: str = ""
    client_key: str | None = None
    host_call: tuple[str, str] | None = None
    refused: str | None = None
    status: int = 0
    size: int = 0

    def answered_by(self, plugin: str, route: str) -> None:
        """Note who answers."""
        self.plugin, self.route = plugin, route


@dataclass(slots=True)
class RecordingSend:
    """Stands in for the server's ``send`` and notes what goes out.

    Attributes:
        send: The server's.
        outcome: Where it is noted.
    """

    send: Send
    outcome: RequestRecord

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            self.outcome.status = message["status"]
        else:
            self.outcome.size += len(message.get("body", b""))
        await self.send(message)
