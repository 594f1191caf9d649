"""Records spans with OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from addonkit.current import current_work
from addonkit.origin import Trace
from addonkit.spans import Attributes, SpanKind, failure_of

KINDS = {
    SpanKind.SERVER: otel.SpanKind.SERVER,
    SpanKind.CLIENT: otel.SpanKind.CLIENT,
    SpanKind.CONSUMER: otel.SpanKind.CONSUMER,
}
HEX = 16


class RequestIds(RandomIdGenerator):
    """Makes the ids of new traces: that of a request's trace begins with the request's id, as without OpenTelemetry."""

    def generate_trace_id(self) -> int:
        """Return a new id; its last 64 bits are random, on which samplers decide."""
        return int(Trace.new(current_work().request_id or "").trace_id, HEX)


@dataclass(frozen=True, slots=True)
class OtelSpan:
    """A span of OpenTelemetry; see :class:`addonkit.spans.Span`."""

    span: otel.Span

    @property
    def trace(self) -> Trace:
        """Its position, for what it sends to others."""
        return _trace_of(self.span.get_span_context())

    def rename(self, name: str) -> None:
        """Replace its name."""
        self.span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        self.span.set_attributes(attributes)

    def fail(self, kind: str, place: str = "") -> None:
        """Record that the work failed."""
        self.span.set_attribute("error.type", kind)
        self.span.set_status(otel.StatusCode.ERROR, place or None)


class OtelTracer:
    """Records the spans of one add-on; see :class:`addonkit.spans.Tracer`. Until it is connected, it records none.

    Attributes:
        provider: The provider of the spans; one that records nothing until the add-on is started.
    """

    def __init__(self) -> None:
        self.connect(otel.NoOpTracerProvider())

    def connect(self, provider: otel.TracerProvider) -> None:
        """Record spans with this provider from now on."""
        self.provider, self._tracer = provider, provider.get_tracer("addonkit")

    @contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        traceparent: str | None = None,
        is_new: bool = False,
    ) -> Iterator[OtelSpan]:
        """Record a span for a ``with`` block, and make it current there."""
        parent = _remote(traceparent)
        if parent is None and is_new:
            parent = otel_context.Context()
        span = self._tracer.start_span(name, parent, KINDS[kind], attributes)
        recorded = OtelSpan(span)
        token = otel_context.attach(otel.set_span_in_context(span))
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(failure_of(error))
            raise
        finally:
            otel_context.detach(token)
            span.end()

    def current(self) -> OtelSpan | None:
        """Return the current span; None if there is none, or if it is not sampled."""
        span = otel.get_current_span()
        return OtelSpan(span) if span.is_recording() else None

    def position(self) -> Trace | None:
        """Return the position of the current span, also if it is not sampled; None if there is none."""
        found = otel.get_current_span().get_span_context()
        return _trace_of(found) if found.is_valid else None


def _remote(traceparent: str | None) -> otel_context.Context | None:
    """Return the context of another program's span; None without a valid header."""
    if (trace := Trace.read(traceparent)) is None:
        return None
    flags = otel.TraceFlags(otel.TraceFlags.SAMPLED if trace.is_sampled else otel.TraceFlags.DEFAULT)
    position = otel.SpanContext(int(trace.trace_id, HEX), int(trace.span_id, HEX), is_remote=True, trace_flags=flags)
    return otel.set_span_in_context(otel.NonRecordingSpan(position), otel_context.Context())


def _trace_of(position: otel.SpanContext) -> Trace:
    return Trace(
        otel.format_trace_id(position.trace_id), otel.format_span_id(position.span_id), position.trace_flags.sampled
    )
