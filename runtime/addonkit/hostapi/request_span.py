"""Records a span of each request to a site: a host call has several if it is repeated or redirected."""

from __future__ import annotations

from contextlib import AbstractContextManager

from addonkit.hostapi.call import HostCall
from addonkit.hostapi.scopes import required_scope
from addonkit.spans import Span, SpanKind, Tracer

FAILURES = 400
"""The lowest status that makes a request a failure for the add-on, which has sent it."""


def request_span(tracer: Tracer, call: HostCall, plugin: str, resent: int) -> AbstractContextManager[Span]:
    """Record a span of one request; its name has the resource without ids, and its URL no query.

    Args:
        tracer: Records it.
        call: The host call.
        plugin: The plugin that makes it.
        resent: How many requests were sent for the call before.
    """
    url = call.url.full
    _, resource = required_scope(call.tenant.product, call.method, call.url.path)
    template = resource.partition(" ")[2]
    attributes: dict[str, str | int] = {
        "http.request.method": call.method,
        "url.full": f"{call.tenant.base_url}{call.url.path}",
        "url.template": template,
        "server.address": url.host,
        "server.port": url.port or (443 if url.scheme == "https" else 80),
        "addonkit.plugin": plugin,
        "addonkit.tenant": call.tenant.key,
    }
    if resent:
        attributes["http.request.resend_count"] = resent
    return tracer.span(f"{call.method} {template}", SpanKind.CLIENT, attributes)


def set_status(span: Span, status: int) -> None:
    """Add the status of the response to a span."""
    span.set({"http.response.status_code": status})
    if status >= FAILURES:
        span.fail(str(status))
