"""HTTP requests to other servers: a client that ignores settings of the environment, and bodies of limited size.

httpx2 is imported on first use, because a process that sends no requests starts faster without it.
"""

from __future__ import annotations

import ssl
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

COMPRESSION_OVERHEAD = 64 * 1024
"""Bytes by which a compressed body may exceed the limit for the decompressed one."""


class BodyTooLarge(Exception):
    """The body of a response is larger than the caller's limit."""


class BodyEncodingInvalid(Exception):
    """The body of a response has another encoding than gzip, or is not valid gzip data."""


def new_client(*, verify: ssl.SSLContext | None = None, **options: Any) -> httpx2.AsyncClient:
    """Create a client that follows no redirects and takes no proxy or certificate from the environment.

    Args:
        verify: Certificate authorities to trust; by default those of this machine.
        options: Further arguments for ``httpx2.AsyncClient``.
    """
    import httpx2

    return httpx2.AsyncClient(
        verify=verify or system_certificates(), trust_env=False, follow_redirects=False, **options
    )


@cache
def system_certificates() -> ssl.SSLContext:
    """TLS settings with this machine's certificate authorities, read once per process because that is slow."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


async def read_body(
    response: httpx2.Response, max_bytes: int, *, decompress: bool = False, truncate: bool = False
) -> bytes:
    """Read the body of a streamed response, holding at most ``max_bytes`` of it in memory.

    Args:
        response: From ``client.stream(…)`` or ``client.send(…, stream=True)``.
        max_bytes: Largest body, in bytes; the decompressed size with ``decompress``.
        decompress: Whether to decompress gzip. httpx2's own decoder is not used: one chunk may grow a thousandfold.
        truncate: Whether to return the beginning of a larger body instead of raising ``BodyTooLarge``.

    Raises:
        BodyTooLarge: The body is larger than ``max_bytes``; the rest is not read.
        BodyEncodingInvalid: ``decompress`` is set, and the body is neither plain nor valid gzip.
        httpx2.TransportError: The body is incomplete.
    """
    decoder = _decoder(response) if decompress else None
    chunks: list[bytes] = []
    size = received = 0
    async for chunk in response.aiter_raw():
        data = chunk if decoder is None else _decompressed(decoder, chunk, max_bytes - size + 1)
        size, received = size + len(data), received + len(chunk)
        if size > max_bytes and truncate:
            return b"".join(chunks)
        if size > max_bytes or received > max_bytes + COMPRESSION_OVERHEAD:
            raise BodyTooLarge(f"the body is larger than {max_bytes} bytes")
        chunks.append(data)
    if decoder is not None and received and not decoder.eof:
        import httpx2

        raise httpx2.RemoteProtocolError("the gzip stream of the body is incomplete")
    return b"".join(chunks)


def _decoder(response: httpx2.Response) -> zlib._Decompress | None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise BodyEncodingInvalid(f"the body is encoded with '{encoding[:40]}', expected 'gzip' or no encoding")
    return zlib.decompressobj(wbits=31) if encoding == "gzip" else None


def _decompressed(decoder: zlib._Decompress, chunk: bytes, max_bytes: int) -> bytes:
    try:
        if not decoder.eof:
            data = decoder.decompress(chunk, max(1, max_bytes))
            if not decoder.unused_data:
                return data
    except zlib.error:
        pass
    raise BodyEncodingInvalid("the body is not valid gzip data")
