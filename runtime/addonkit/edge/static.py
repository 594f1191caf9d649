"""Sends the public responses that are kept in memory: the descriptor and static files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from addonkit.descriptor.document import Descriptor
from addonkit.edge.request import InboundRequest, Scope, Send
from addonkit.edge.response import FixedHeaders, SecurityHeaders, send_response, send_with_headers
from addonkit.extension.assets import Asset, Assets

IMMUTABLE = b"public, max-age=31536000, immutable"


async def send_descriptor(scope: Scope, send: Send, descriptor: Descriptor, security: SecurityHeaders) -> None:
    """Send the descriptor, or a 304 if the caller has the current one."""
    etag = descriptor.etag.encode()
    if _is_current(scope["headers"], etag):
        await send_with_headers(send, 304, _current_headers(etag, security.plain()))
        return
    headers = _descriptor_headers(etag, len(descriptor.body), security.plain())
    await send_with_headers(send, 200, headers, descriptor.body if scope["method"] == "GET" else b"")


@lru_cache(8)
def _current_headers(etag: bytes, plain: FixedHeaders) -> FixedHeaders:
    return ((b"etag", etag), (b"cache-control", b"no-cache"), *plain)


@lru_cache(8)
def _descriptor_headers(etag: bytes, size: int, plain: FixedHeaders) -> FixedHeaders:
    content_type = (b"content-type", b"application/json; charset=utf-8")
    return (*_current_headers(etag, plain), content_type, (b"content-length", b"%d" % size))


def asset_at(request: InboundRequest, assets: Mapping[str, Assets]) -> Asset | None:
    """Return the static file at ``/<plugin>/static/<name>``, or None.

    Args:
        request: A GET or HEAD request; for other methods the result is None.
        assets: Static files by plugin.
    """
    plugin, _, name = request.path[1:].partition("/static/")
    folder = assets.get(plugin)
    return folder.get(name) if folder and request.method in ("GET", "HEAD") else None


async def send_asset(send: Send, request: InboundRequest, asset: Asset, security: SecurityHeaders) -> None:
    """Send a static file with a long cache lifetime: its URL contains a hash of its content."""
    headers = [
        (b"content-type", asset.content_type.encode()),
        (b"cache-control", IMMUTABLE),
        *security.plain(),
    ]
    if _is_current(request.headers):
        await send_with_headers(send, 304, headers)
    elif request.method == "GET":
        await send_response(send, 200, headers, asset.body)
    else:
        await send_with_headers(send, 200, [*headers, (b"content-length", str(len(asset.body)).encode())])


def _is_current(headers: Iterable[tuple[bytes, bytes]], etag: bytes | None = None) -> bool:
    """Whether ``If-None-Match`` names this representation, or any by ``*`` (RFC 9110, 13.1.2)."""
    named = [tag.strip() for name, value in headers if name == b"if-none-match" for tag in value.split(b",")]
    return b"*" in named or (etag is not None and any(tag.removeprefix(b"W/") == etag for tag in named))
