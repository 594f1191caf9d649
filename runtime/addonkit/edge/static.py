"""What anybody may read and keep: the descriptor and static files, both ready as bytes."""

from __future__ import annotations

from collections.abc import Mapping

from addonkit.descriptor.document import Descriptor
from addonkit.edge.headers import IMMUTABLE, Headers, SecurityHeaders
from addonkit.edge.request import InboundRequest, Scope, Send
from addonkit.edge.response import send_response
from addonkit.extension.assets import Asset, Assets


async def send_descriptor(scope: Scope, send: Send, descriptor: Descriptor, security: SecurityHeaders) -> None:
    """Send the descriptor, or say that the one that the caller has is the present one."""
    etag = descriptor.etag.encode()
    known = any(name == b"if-none-match" and etag in value for name, value in scope["headers"])
    headers: Headers = [(b"etag", etag), (b"cache-control", b"no-cache"), *security.plain()]
    if known:
        await _send(send, 304, headers)
        return
    headers += [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(descriptor.body)).encode()),
    ]
    await _send(send, 200, headers, descriptor.body if scope["method"] == "GET" else b"")


def asset_at(request: InboundRequest, assets: Mapping[str, Assets]) -> Asset | None:
    """The static file behind ``/<plugin>/static/<name>``, or None.

    Args:
        request: A GET or HEAD; with other methods there is none.
        assets: By plugin.
    """
    plugin, _, name = request.path[1:].partition("/static/")
    folder = assets.get(plugin)
    return folder.get(name) if folder and request.method in ("GET", "HEAD") else None


async def send_asset(send: Send, request: InboundRequest, asset: Asset, security: SecurityHeaders) -> None:
    """Send a static file, to be kept for ever: its name changes with its content."""
    headers = [
        (b"content-type", asset.content_type.encode()),
        (b"cache-control", IMMUTABLE),
        *security.plain(),
    ]
    if request.method == "GET":
        await send_response(send, 200, headers, asset.body)
    else:
        await _send(send, 200, [*headers, (b"content-length", str(len(asset.body)).encode())])


async def _send(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
