"""Observers of requests, and the access log: one line per request, without anything that could be a credential.

The line contains neither the query nor a header of the request, because these carry tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from addonkit.edge.request import MAX_LOGGED_METHOD, InboundRequest, Message, RequestRecord, Send
from addonkit.log import structlog
from addonkit.text import shortened

MAX_LOGGED_CLIENT = MAX_LOGGED_METHOD * 3

Observer = Callable[[InboundRequest, float], None]
"""Called with each finished request and its duration in seconds."""

# Without a level filter: the setting [log] access alone decides whether these lines are written.
log = structlog.wrap_logger(None, wrapper_class=structlog.BoundLogger)


@dataclass(slots=True)
class RecordingSend:
    """An ASGI ``send`` that records the status and the size of the response.

    Attributes:
        send: The server's ``send``.
        record: Where status and size are recorded.
    """

    send: Send
    record: RequestRecord

    async def __call__(self, message: Message) -> None:
        """Record one message and pass it on."""
        if message["type"] == "http.response.start":
            self.record.status = message["status"]
        else:
            self.record.size += len(message.get("body", b""))
        await self.send(message)


def write_access(request: InboundRequest, seconds: float) -> None:
    """Write the access log line of one finished request.

    Args:
        request: The request with its record; status 0 means that the caller left before the response.
        seconds: Time from arrival to end.
    """
    record = request.record
    log.info(
        "request.completed",
        method=request.logged_method,
        path=request.logged_path,
        status=record.status,
        duration_ms=round(seconds * 1000, 1),
        bytes=record.size,
        client=shortened(request.client, MAX_LOGGED_CLIENT),
        request_id=request.request_id,
        plugin=record.plugin or None,
        endpoint=record.route or None,
        tenant=record.tenant,
    )
