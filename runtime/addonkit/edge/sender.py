"""What the application sends, on its way out: our headers over its own."""

from __future__ import annotations

from dataclasses import dataclass

from addonkit.edge.headers import Headers, merged
from addonkit.edge.request import InboundRequest, Message, Send
from addonkit.log import structlog

log = structlog.get_logger()


@dataclass(slots=True)
class ResponseSender:
    """Stands in for the server's ``send``.

    Attributes:
        send: The server's.
        security: Headers that win over the application's.
        request: What is answered.
    """

    send: Send
    security: Headers
    request: InboundRequest

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            ours = [*self.security, (b"x-request-id", self.request.request_id.encode())]
            headers, dropped = merged(list(message["headers"]), ours)
            for name in dropped:
                log.warning("header dropped", header=name.decode("latin-1"), path=self.request.shown_path)
            message = {**message, "headers": headers}
        await self.send(message)
