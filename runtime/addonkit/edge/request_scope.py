"""What is known while a request is answered: the origin of its jobs and host calls, and values of its log lines."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from addonkit.current import origin_scope
from addonkit.edge.request import InboundRequest
from addonkit.log import structlog
from addonkit.origin import Origin, Trace

TRACEPARENT = b"traceparent"
RESERVED = {"tenant": ..., "plugin": ..., "endpoint": ..., "webhook": ...}
"""Values that become known while the request is answered. ``...`` reserves them, so that the reset removes them too."""


class RequestScope:
    """Makes a request the origin of the work in a ``with`` block, and adds its ids to the log lines of the block.

    Args:
        request: The request; a valid ``traceparent`` header names the trace that it continues.
        position: Returns the position of the span that is being recorded, if spans are recorded.
    """

    __slots__ = ("_origin", "_scope", "_tokens")

    def __init__(self, request: InboundRequest, position: Callable[[], Trace | None] | None = None) -> None:
        self._origin = Origin(request.request_id, traceparent_of(request), position)

    def __enter__(self) -> None:
        self._tokens = structlog.contextvars.bind_contextvars(**RESERVED, **self._origin.facts())
        self._scope = origin_scope(self._origin)
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        structlog.contextvars.reset_contextvars(**self._tokens)


def traceparent_of(request: InboundRequest) -> str | None:
    """Return the request's ``traceparent`` header if it is valid."""
    header = request.header(TRACEPARENT)
    return None if header is None or Trace.read(header) is None else header
