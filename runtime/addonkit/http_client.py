"""HTTP requests to other servers: clients that use the deployment's proxy and certificates, and bodies of limited size.

Settings of the environment are ignored, so that a variable of the machine cannot redirect requests with tokens.

httpx2 is imported on first use, because a process that sends no requests starts faster without it.
"""

from __future__ import annotations

import logging
import ssl
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2

COMPRESSION_OVERHEAD = 64 * 1024
"""Bytes by which a compressed body may exceed the limit for the decompressed one."""


class BodyTooLarge(Exception):
    """The body of a response is larger than the caller's limit."""


class BodyEncodingInvalid(Exception):
    """The body of a response has another encoding than gzip, or is not valid gzip data."""


@dataclass(frozen=True, slots=True)
class Network:
    """The way to other servers: ``[host] proxy`` and ``[host] ca_file``.

    Attributes:
        proxy: URL of the proxy that every request goes through; it may contain a password. None is a direct connection.
        ca_file: PEM file with certificate authorities that are trusted besides those of this machine.
    """

    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @property
    def proxy_name(self) -> str:
        """The proxy's URL without user name and password, for messages; empty without a proxy."""
        parts = urlsplit(self.proxy or "")
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if self.proxy else ""

    def certificates(self) -> ssl.SSLContext:
        """Return TLS settings with the trusted authorities."""
        return _certificates(self.ca_file)


DIRECT = Network()


def new_client(
    network: Network = DIRECT, *, verify: ssl.SSLContext | None = None, **options: Any
) -> httpx2.AsyncClient:
    """Create a client that follows no redirects, keeps no cookies, and takes nothing from the environment.

    Args:
        network: The proxy, and the trusted certificate authorities.
        verify: Certificate authorities to trust instead.
        options: Further arguments for ``httpx2.AsyncClient``.
    """
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx2

    _hide_queries()
    # A cookie set by one site or for one user would be sent with another's request.
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    trusted = verify or network.certificates()
    proxy = None
    if network.proxy is not None:
        proxy = httpx2.Proxy(network.proxy, ssl_context=trusted if network.proxy.startswith("https:") else None)
    return httpx2.AsyncClient(
        verify=trusted, proxy=proxy, cookies=cookies, trust_env=False, follow_redirects=False, **options
    )


@cache
def _certificates(ca_file: Path | None) -> ssl.SSLContext:
    """Read the certificate authorities, once per process because that is slow."""
    import httpx2

    context = httpx2.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


@cache
def _hide_queries() -> None:
    """Remove the query from each URL that httpx2 logs: it may hold a token, and an embedding application logs it."""
    logging.getLogger("httpx2").addFilter(_without_query)


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            str(each).partition("?")[0] if type(each).__name__ == "URL" else each for each in record.args
        )
    return True


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
