"""Observers of requests, and the access log: one line per request, without anything that could be a credential.

The line contains neither the query nor a header of the request, because these carry tokens. If only a share of the
requests is logged, a keyed hash of the trace's id decides. So the requests of one trace belong together in all
processes, and callers, who can choose that id, do not know which ones are logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from addonkit.current import current_work
from addonkit.edge.request import MAX_LOGGED_METHOD, InboundRequest, Message, RequestRecord, Send
from addonkit.log import structlog
from addonkit.text import shortened

PURPOSE, HASH_BYTES = b"addonkit access", 8
MAX_HASH = float(2 ** (8 * HASH_BYTES))
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


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Writes the access log. Called with each finished request; status 0 means that the caller left first.

    Attributes:
        key: Secret key of the hash.
        share: Share of the requests that are logged. Errors and slow requests always are.
        slow_s: From which duration on a request is slow, in seconds.
    """

    key: bytes = field(repr=False)
    share: float = 1.0
    slow_s: float = 1.0

    def __call__(self, request: InboundRequest, seconds: float) -> None:
        """Write the line of one request, if it is among those that are logged."""
        if self.share >= 1:
            _write(request, seconds)
        elif is_error(request.record.status) or seconds >= self.slow_s:
            _write(request, seconds, sample_rate=1.0)
        elif self._is_drawn():
            _write(request, seconds, sample_rate=self.share)

    def _is_drawn(self) -> bool:
        origin = current_work().origin
        trace_id = "" if origin is None else origin.trace.trace_id
        drawn = blake2b(trace_id.encode(), digest_size=HASH_BYTES, key=self.key, person=PURPOSE).digest()
        return int.from_bytes(drawn) < self.share * MAX_HASH


def is_error(status: int) -> bool:
    """Whether a status is an error; 0 stands for a response that was not sent."""
    return status == 0 or status >= 400


def _write(request: InboundRequest, seconds: float, **facts: float) -> None:
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
        **facts,
    )
