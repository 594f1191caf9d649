"""Lets plugins record spans by ``opentelemetry.trace``: they belong to the add-on that the plugin's code runs for.

OpenTelemetry has one provider of spans in a process, but a process may run several add-ons. The provider here passes
each span to the tracer of the current add-on. An application that has set a provider itself keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry import trace as otel
from opentelemetry.util._decorator import _agnosticcontextmanager

from addonkit.observers import current_tracer
from addonkit.telemetry.tracer import OtelTracer

_NOTHING = otel.NoOpTracerProvider()


class _PluginTracer(otel.Tracer):
    """Records spans with the provider of the current add-on; none outside of an add-on that has tracing on."""

    def __init__(self, *named: Any, **options: Any) -> None:
        self._named, self._options = named, options

    def start_span(self, *values: Any, **named: Any) -> otel.Span:
        """Begin a span."""
        return self._current().start_span(*values, **named)

    @_agnosticcontextmanager
    def start_as_current_span(self, *values: Any, **named: Any) -> Iterator[otel.Span]:
        """Begin a span and make it current for the block."""
        with self._current().start_as_current_span(*values, **named) as span:
            yield span

    def _current(self) -> otel.Tracer:
        tracer = current_tracer()
        provider = tracer.provider if isinstance(tracer, OtelTracer) else _NOTHING
        return provider.get_tracer(*self._named, **self._options)


class _PluginTracerProvider(otel.TracerProvider):
    """Returns tracers that record with the provider of the current add-on."""

    def get_tracer(self, *named: Any, **options: Any) -> otel.Tracer:
        """Return a tracer."""
        return _PluginTracer(*named, **options)


def offer_to_plugins() -> None:
    """Make ``opentelemetry.trace.get_tracer`` record spans of the current add-on, unless a provider is set already."""
    if isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider):
        otel.set_tracer_provider(_PluginTracerProvider())
