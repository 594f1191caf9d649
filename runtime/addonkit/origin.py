"""Where work comes from: the inbound request and the trace that it belongs to, in the form of W3C Trace Context.

The trace of a request is that of its ``traceparent`` header. Without a valid one, a new trace begins, whose id begins
with the request's id: then one id finds log lines, jobs and the host's records of the calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, Self

from addonkit.log import REQUEST_ID, TRACE_ID
from addonkit.random_id import new_id

# Source: https://www.w3.org/TR/trace-context/, sections 3.2 and 4.3. Later versions may append fields to those of 00.
TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
NO_VERSION = "ff"
SAMPLED = 1
TRACE_PLACE = slice(3, 35)
"""Where the id of the trace is in a valid header of any version."""
MAX_LENGTH = 512
"""Characters of the longest header that is read."""


class Trace(NamedTuple):
    """A position in a trace.

    Attributes:
        trace_id: Id of the trace, 32 hexadecimal digits.
        span_id: Id of the piece of work, 16 hexadecimal digits.
        is_sampled: Whether the caller records the trace.
    """

    trace_id: str
    span_id: str
    is_sampled: bool = False

    @classmethod
    def read(cls, header: str | None) -> Self | None:
        """Read a ``traceparent``; None if there is none, or if it is invalid."""
        if header is None or len(header) > MAX_LENGTH or (found := TRACEPARENT.fullmatch(header)) is None:
            return None
        version, trace_id, span_id = found["version"], found["trace"], found["span"]
        if (
            version == NO_VERSION
            or (version == "00" and found["rest"])
            or not int(trace_id, 16)
            or not int(span_id, 16)
        ):
            return None
        return cls(trace_id, span_id, bool(int(found["flags"], 16) & SAMPLED))

    @classmethod
    def new(cls, request_id: str = "") -> Self:
        """Begin a trace.

        Args:
            request_id: What its id begins with, at most 31 hexadecimal digits.
        """
        digits = f"{request_id}{new_id()}" if len(request_id) >= 16 else f"{request_id}{new_id()}{new_id()}"
        return cls(digits[:32], new_id())

    def child(self) -> Self:
        """Return a new piece of work in the same trace."""
        return type(self)(self.trace_id, new_id(), self.is_sampled)

    @property
    def traceparent(self) -> str:
        """The value of the header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


class Origin:
    """The request and the trace that work belongs to; what is not needed is neither read nor made.

    Args:
        request_id: Id of the inbound request; None if the work comes from a schedule or a command.
        traceparent: A valid ``traceparent`` of the trace that the work continues; None: the work begins a trace.
        position: Returns the position of the span that is being recorded, if any; None if no spans are recorded.

    Attributes:
        request_id: Id of the inbound request, if any.
    """

    __slots__ = ("_position", "_trace", "_traceparent", "request_id")

    def __init__(
        self,
        request_id: str | None,
        traceparent: str | None = None,
        position: Callable[[], Trace | None] | None = None,
    ) -> None:
        self.request_id, self._traceparent, self._position = request_id, traceparent, position
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """The trace, with the piece of work that runs."""
        if self._position is not None and (current := self._position()) is not None:
            return current
        if self._trace is None:
            continued = Trace.read(self._traceparent)
            self._trace = Trace.new(self.request_id or "") if continued is None else continued.child()
        return self._trace

    def log_values(self) -> list[tuple[ContextVar[Any], str]]:
        """Return the values for log lines: the request's id, and that of the trace unless it begins with it."""
        if self.request_id is None:
            return [(TRACE_ID, self.trace.trace_id)]
        values = [(REQUEST_ID, self.request_id)]
        header = self._traceparent
        if header is not None and not header.startswith(self.request_id, TRACE_PLACE.start):
            values.append((TRACE_ID, header[TRACE_PLACE]))
        return values
