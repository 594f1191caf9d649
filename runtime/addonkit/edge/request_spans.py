"""Records a span of each request: what was requested, who answered, and how it ended."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from urllib.parse import urlsplit

from addonkit.edge.operations import PATHS as OPERATIONS
from addonkit.edge.request import InboundRequest, RequestRecord
from addonkit.edge.request_scope import RequestScope, traceparent_of
from addonkit.spans import Attributes, SpanKind, Tracer, http_method

FAILURES = 500
"""The lowest status that makes a request a failure of the add-on."""


class RequestSpans:
    """Makes the scopes of requests, each with a span; probes have none.

    Args:
        tracer: Records the spans.
        base_url: The add-on's base URL.
    """

    def __init__(self, tracer: Tracer, base_url: str) -> None:
        self._tracer, url = tracer, urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        self._server: Attributes = {
            "url.scheme": url.scheme,
            "server.address": url.hostname or "",
            "server.port": port,
        }

    def scope(self, request: InboundRequest) -> AbstractContextManager[None]:
        """Return the scope of a request, which records its span."""
        if request.path in OPERATIONS:
            return RequestScope(request)
        attributes = {
            **self._server,
            "http.request.method": http_method(request.method),
            "url.path": request.logged_path,
            "addonkit.request_id": request.request_id,
        }
        return TracedRequestScope(request, self._tracer, attributes)

    def observe(self, request: InboundRequest, seconds: float) -> None:
        """Add to the span how the request was answered; called while its scope is still open."""
        span, record = self._tracer.current(), request.record
        if span is None or request.path in OPERATIONS:
            return
        if record.template:
            span.rename(f"{_method_in_name(request)} {record.template}")
        span.set(_attributes(record))
        if record.status >= FAILURES:
            span.fail(record.error or str(record.status))


class TracedRequestScope(RequestScope):
    """The scope of a request with a span, which begins and ends with it.

    Args:
        request: The request; its span continues that of a valid ``traceparent`` header.
        tracer: Records the span.
        attributes: What is known of the request when it begins.
    """

    __slots__ = ("_attributes", "_entered", "_request", "_tracer")

    def __init__(self, request: InboundRequest, tracer: Tracer, attributes: Attributes) -> None:
        super().__init__(request, tracer.position)
        self._request, self._tracer, self._attributes = request, tracer, attributes

    def __enter__(self) -> None:
        # First the origin: the id of a new trace begins with the request's id.
        super().__enter__()
        name = _method_in_name(self._request)
        self._entered = self._tracer.span(
            name, SpanKind.SERVER, self._attributes, traceparent=traceparent_of(self._request)
        )
        self._entered.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._entered.__exit__(kind, error, trace)
        finally:
            super().__exit__(kind, error, trace)


def _method_in_name(request: InboundRequest) -> str:
    method = http_method(request.method)
    return "HTTP" if method == "_OTHER" else method


def _attributes(record: RequestRecord) -> Attributes:
    """Return what is known once the request has been answered; a status of 0 means that the caller has left."""
    found: dict[str, str | int | None] = {
        "http.route": record.template,
        "http.response.status_code": record.status,
        "addonkit.plugin": record.plugin,
        "addonkit.endpoint": record.route,
        "addonkit.tenant": record.tenant,
        "addonkit.refused": record.refused,
    }
    return {name: value for name, value in found.items() if value}
