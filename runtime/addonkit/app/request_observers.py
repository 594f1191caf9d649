"""What follows each request: metrics, the access log, and a span."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from addonkit.app.deployment import Deployment
from addonkit.edge.access_log import AccessLog, Observer
from addonkit.edge.metrics import Metrics
from addonkit.edge.request import InboundRequest
from addonkit.edge.request_scope import RequestScope
from addonkit.edge.request_spans import RequestSpans
from addonkit.spans import Tracer

ScopeOf = Callable[[InboundRequest], AbstractContextManager[None]]
"""Makes the scope of a request."""


def request_observers(
    deployment: Deployment, metrics: Metrics | None, tracer: Tracer | None
) -> tuple[tuple[Observer, ...], ScopeOf]:
    """Return the observers of finished requests, and what makes the scope of a request.

    Args:
        deployment: The deployment.
        metrics: Counts requests; None if nobody could read the numbers.
        tracer: Records spans; None unless tracing is on.
    """
    observers: list[Observer] = [] if metrics is None else [metrics.count]
    settings = deployment.settings
    if settings.log.access:
        _, key = deployment.encryption_keys()[0]
        observers.append(AccessLog(key, settings.log.access_sample, settings.log.access_slow_s))
    if tracer is None:
        return tuple(observers), RequestScope
    spans = RequestSpans(tracer, settings.addon.base_url)
    return (*observers, spans.observe), spans.scope
