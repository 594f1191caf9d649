"""The limit on request line and headers, for both servers: theirs does not hold for a head that comes in one read."""

from __future__ import annotations

from addonkit.edge.request import MAX_LOGGED_METHOD, MAX_LOGGED_PATH, Scope, Send, raw_path_of
from addonkit.log import structlog
from addonkit.random_id import new_id
from addonkit.text import masked, shortened

MAX_HEAD_BYTES = 24 * 1024
LINE_BYTES = 4
"""Bytes of a header line besides name and value."""
BODY = b"Request Header Fields Too Large"

log = structlog.get_logger()


def is_head_too_large(scope: Scope) -> bool:
    """Whether request line and headers are longer than 24 KB."""
    size = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return size + sum(len(name) + len(value) + LINE_BYTES for name, value in scope["headers"]) > MAX_HEAD_BYTES


async def refuse_head(scope: Scope, send: Send) -> None:
    """Answer with 431, and close the connection of an HTTP/1.1 client."""
    request_id = new_id()
    log.warning(
        "request.refused",
        status=431,
        reason=f"request line and headers are longer than {MAX_HEAD_BYTES} bytes",
        plugin=None,
        endpoint=None,
        tenant=None,
        path=shortened(masked(raw_path_of(scope)), MAX_LOGGED_PATH),
        method=shortened(scope["method"], MAX_LOGGED_METHOD),
        request_id=request_id,
    )
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(BODY)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    if scope["http_version"][:1] == "1":
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
