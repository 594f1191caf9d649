"""Answers that the edge gives by itself: refusals, and bytes that are ready."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from addonkit.edge.headers import Headers
from addonkit.edge.request import InboundRequest, Send

# A server that restarts is back in a few seconds.
RETRY_AFTER_S = 5
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{phrase}</title></head>\
<body><p>{status} {phrase}</p><p>Request id: {request_id}</p></body></html>"""


def refusal_body(status: int, request_id: str, *, as_json: bool, said: str | None = None) -> tuple[bytes, bytes]:
    """A refusal's content type and body: the status, its phrase and a request id; a reason only if it is to be told.

    Args:
        status: The HTTP status.
        request_id: Ours, to be found in the log.
        as_json: For a caller that is a program.
        said: A sentence for the caller in place of the phrase; JSON only.
    """
    phrase = HTTPStatus(status).phrase
    if as_json:
        return b"application/json", orjson.dumps({"error": said or phrase, "status": status, "request_id": request_id})
    page = PAGE.format(status=status, phrase=phrase, request_id=request_id)
    return b"text/html; charset=utf-8", page.encode()


async def send_response(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send one complete answer."""
    sized = headers if status == HTTPStatus.NO_CONTENT else [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_refusal(
    send: Send,
    request: InboundRequest,
    status: int,
    security: Headers,
    *extra: tuple[bytes, bytes],
    said: str | None = None,
) -> None:
    """Refuse, telling no reason but ``said``."""
    as_json = said is not None or request.wants_json()
    content_type, body = refusal_body(status, request.request_id, as_json=as_json, said=said)
    headers = [
        (b"content-type", content_type),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request.request_id.encode()),
        *security,
        *extra,
    ]
    await send_response(send, status, headers, body if request.method != "HEAD" else b"")
