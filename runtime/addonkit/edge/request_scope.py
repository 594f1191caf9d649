"""What is known while a request is answered: the origin of its jobs and host calls, and values of its log lines."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from addonkit.current import origin_scope
from addonkit.edge.request import InboundRequest
from addonkit.log import ENDPOINT, PLUGIN, TENANT, WEBHOOK, LogValues
from addonkit.origin import Origin, Trace

TRACEPARENT = b"traceparent"
RESERVED = tuple((variable, ...) for variable in (TENANT, PLUGIN, ENDPOINT, WEBHOOK))
"""Values of log lines that become known while the request is answered. Each is reset at its end, to what it was."""


class RequestScope:
    """Makes a request the origin of the work in a ``with`` block, and adds its ids to the log lines of the block.

    Args:
        request: The request; a valid ``traceparent`` header names the trace that it continues.
        position: Returns the position of the span that is being recorded, if spans are recorded.
    """

    __slots__ = ("_log", "_origin", "_scope")

    def __init__(self, request: InboundRequest, position: Callable[[], Trace | None] | None = None) -> None:
        self._origin = Origin(request.request_id, traceparent_of(request), position)

    def __enter__(self) -> None:
        self._log = LogValues((*RESERVED, *self._origin.log_values()))
        self._log.__enter__()
        self._scope = origin_scope(self._origin)
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        self._log.__exit__(kind, error, trace)


def traceparent_of(request: InboundRequest) -> str | None:
    """Return the request's ``traceparent`` header if it is valid."""
    header = request.header(TRACEPARENT)
    return None if header is None or Trace.read(header) is None else header
