"""Writes one ``request.refused`` line for each response with a 4xx or 5xx status, before the response is sent.

A request that failed with another event, such as ``handler.failed`` with its traceback, gets no second one. Probes
(``/healthz``, ``/readyz``) are no refusals: a change of readiness has an event of its own.
"""

from __future__ import annotations

from urllib.parse import unquote

from addonkit.edge.authentication import claimed_tenant
from addonkit.edge.request import RUNTIME, InboundRequest
from addonkit.log import structlog
from addonkit.text import shortened, without_tokens

MAX_REASON = 500
MIN_QUERY = 4
"""Characters of the shortest query that is masked in a reason; a shorter one is part of many words."""
QUERY = "<query>"

log = structlog.get_logger()


def log_refusal(request: InboundRequest, status: int) -> None:
    """Write the line of a refused request, unless its failure has been logged or its status is no error."""
    record = request.record
    if status < 400 or record.is_logged:
        return
    record.is_logged = True
    log.warning(
        "request.refused",
        status=status,
        reason=reason_text(request) or _unexplained(request),
        plugin=record.plugin or None,
        endpoint=record.route or None,
        **({"event_name": record.host_request[1]} if record.host_request else {}),
        tenant=record.tenant or claimed_tenant(request),
        path=request.logged_path,
        method=request.logged_method,
        request_id=request.request_id,
    )


def reason_text(request: InboundRequest) -> str | None:
    """Return the reason of a refusal on one line, without tokens and without the query of the request."""
    reason = request.record.reason
    return None if reason is None else safe_text(reason, request.query)


def safe_text(text: str, query: str) -> str:
    """Return text that a plugin or the runtime wrote about a request, without tokens and the request's query.

    Args:
        text: The text, which may quote what the caller sent.
        query: The raw query of the request.
    """
    if len(query) >= MIN_QUERY:
        for form in (query, unquote(query), unquote(query.replace("+", " "))):
            text = text.replace(form, QUERY)
    return shortened(without_tokens(text), MAX_REASON)


def _unexplained(request: InboundRequest) -> str:
    """Describe a response with an error status that the handler returned instead of raising an error."""
    if request.record.plugin in ("", RUNTIME):
        return "no reason is known"
    return f"plugin '{request.record.plugin}' returned this status"
