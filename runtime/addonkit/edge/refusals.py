"""Builds and sends refusals: responses with a 4xx or 5xx status that the runtime sends instead of calling a handler.

A caller gets the status, its phrase, the request id and the sentence of a plugin, if there is one. A caller on the
add-on's own machine gets the reason as well, which is otherwise only logged.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import NamedTuple

import orjson

from addonkit.edge.refusal_log import log_refusal, reason_text
from addonkit.edge.request import InboundRequest, Send
from addonkit.edge.response import NO_STORE, FixedHeaders, Headers, send_response

RETRY_AFTER_S = 5
"""Seconds for the Retry-After header of a 503: a server that restarts is back in a few seconds."""
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{phrase}</title></head>\
<body><p>{status} {phrase}</p>{sentence}<p>Request id: {request_id}</p></body></html>"""


class Refusal(NamedTuple):
    """A refusal that is ready to be sent.

    Attributes:
        status: HTTP status.
        headers: Content type, caching, request id, and those that the caller of ``refusal_of`` added.
        body: A JSON object or a small page.
    """

    status: int
    headers: Headers
    body: bytes


def refusal_of(
    status: int,
    request_id: str,
    *,
    as_json: bool,
    detail: str | None = None,
    sentence: str | None = None,
    retry_after_s: int | None = None,
    allow: str | None = None,
) -> Refusal:
    """Build a refusal with the status, its phrase and the request id; it has a reason only if one is given.

    Args:
        status: HTTP status.
        request_id: The edge's id of the request, which log lines contain as well.
        as_json: Whether the body is a JSON object instead of a page.
        detail: The reason for programs: in JSON, it replaces the phrase.
        sentence: The reason for people: a page shows it below the phrase.
        retry_after_s: Value of the Retry-After header, in seconds.
        allow: Value of the Allow header of a 405.
    """
    phrase = _phrase(status)
    if as_json:
        content_type = b"application/json"
        body = orjson.dumps({"error": detail or phrase, "status": status, "request_id": request_id})
    else:
        content_type = b"text/html; charset=utf-8"
        shown = f"<p>{escape(sentence)}</p>" if sentence else ""
        body = PAGE.format(status=status, phrase=phrase, sentence=shown, request_id=request_id).encode()
    headers = [(b"content-type", content_type), NO_STORE, (b"x-request-id", request_id.encode())]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if allow is not None:
        headers.append((b"allow", allow.encode()))
    return Refusal(status, headers, body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


async def send_refusal(
    send: Send,
    request: InboundRequest,
    status: int,
    security: FixedHeaders,
    *extra: tuple[bytes, bytes],
    reason: str | None = None,
    detail: str | None = None,
    retry_after_s: int | None = None,
    allow: str | None = None,
) -> None:
    """Log and send a refusal of the edge.

    Args:
        send: The server's ``send``.
        request: The refused request.
        status: HTTP status.
        security: The security headers.
        *extra: Further headers.
        reason: Why it is refused; for the log, and for a caller on this machine.
        detail: As in ``refusal_of``.
        retry_after_s: As in ``refusal_of``.
        allow: As in ``refusal_of``.
    """
    request.record.reason = reason or request.record.reason
    log_refusal(request, status)
    shown = reason_text(request) if request.is_local else None
    refusal = refusal_of(
        status,
        request.request_id,
        as_json=detail is not None or request.accepts_json(),
        detail=detail or shown,
        sentence=shown,
        retry_after_s=retry_after_s,
        allow=allow,
    )
    body = refusal.body if request.method != "HEAD" else b""
    await send_response(send, status, [*refusal.headers, *security, *extra], body)
