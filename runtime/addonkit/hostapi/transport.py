"""The HTTP transport: one request is sent and its response read, both bounded in time and size.

All sites share one connection pool. Cookies are not kept, redirects are not followed, and proxies from the environment
are not used.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from addonkit.errors import HostUnavailable, ResponseInvalid

MAX_CONNECTIONS = 200
MAX_IDLE_CONNECTIONS = 50
IDLE_S = 30.0
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
MAX_ERROR_BODY = 64 * 1024
COMPRESSION_SLACK = 64 * 1024
"""How many bytes a compressed body may be larger than its limit."""
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response with any status.

    Attributes:
        status: The HTTP status.
        headers: The headers; names in any case.
        content: The body, decompressed.
    """

    status: int
    headers: httpx2.Headers = field(repr=False)
    content: bytes = field(repr=False)


class Transport:
    """The connections of this process to all sites.

    Args:
        user_agent: The ``User-Agent`` header.
    """

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._client: httpx2.AsyncClient | None = None

    async def send(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None, max_bytes: int
    ) -> RawResponse:
        """Send one request and read its response.

        Args:
            method: In upper case.
            url: Sent without changes.
            headers: The token among them.
            content: The body.
            max_bytes: Maximum size of the response body, decompressed, in bytes.

        Raises:
            HostUnavailable: There was no complete response.
            ResponseInvalid: The response is too large, or its encoding is unknown or broken.
        """
        client = self._client = self._client or self._new_client()
        request = client.build_request(method, url, headers=dict(headers), content=content)
        try:
            response = await client.send(request, stream=True)
            try:
                body = await _read(response, max_bytes)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise _unavailable(request, error) from error
        return RawResponse(response.status_code, response.headers, body)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def _new_client(self) -> httpx2.AsyncClient:
        # Created with the first request, because reading the system's certificates takes a while.
        return httpx2.AsyncClient(
            headers={
                "user-agent": self._user_agent,
                "accept-encoding": "gzip",
                "accept": "application/json, */*;q=0.5",
            },
            verify=httpx2.create_ssl_context(trust_env=False),
            # A proxy from the environment would read what is sent to sites on loopback.
            trust_env=False,
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=IDLE_S,
            ),
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # A cookie set by one site or for one user would be sent with another's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
        )


async def _read(response: httpx2.Response, max_bytes: int) -> bytes:
    """Read and decompress the body. The library's own decoder may expand one chunk a thousandfold in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise ResponseInvalid(
            f"the host's response is encoded with '{encoding[:40]}', expected 'gzip' or no encoding",
            status=response.status_code,
        )
    decoder = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    is_error = response.status_code >= 300
    limit = MAX_ERROR_BODY if is_error else max_bytes
    chunks, size, raw_size = [], 0, 0
    async for raw in response.aiter_raw():
        chunk = raw if decoder is None else _decompress(decoder, raw, limit - size + 1, response)
        size, raw_size = size + len(chunk), raw_size + len(raw)
        if size > limit and is_error:
            break  # enough of it for an error message
        if size > limit or raw_size > limit + COMPRESSION_SLACK:
            raise ResponseInvalid(
                f"the host's response to '{_label(response.request)}' is larger than {limit} bytes; request less data, "
                "or raise max_bytes",
                status=response.status_code,
            )
        chunks.append(chunk)
    if decoder is not None and raw_size and not decoder.eof and not (is_error and size > limit):
        raise httpx2.RemoteProtocolError("the compressed body is incomplete")
    return b"".join(chunks)


def _decompress(decoder: zlib._Decompress, raw: bytes, max_length: int, response: httpx2.Response) -> bytes:
    try:
        if not decoder.eof:
            chunk = decoder.decompress(raw, max(1, max_length))
            if not decoder.unused_data:
                return chunk
    except zlib.error:
        pass
    raise ResponseInvalid(
        f"the body of the host's response to '{_label(response.request)}' is not valid gzip data",
        status=response.status_code,
    )


def _label(request: httpx2.Request) -> str:
    """Method and path, escaped as they were sent."""
    return f"{request.method} {request.url.raw_path.partition(b'?')[0].decode('latin-1')}"


def _unavailable(request: httpx2.Request, error: httpx2.TransportError) -> HostUnavailable:
    sent = not isinstance(error, _NOT_SENT)
    server = request.url.host
    if isinstance(error, httpx2.TimeoutException):
        what = f"'{server}' did not respond in time"
    elif "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        what = f"'{server}' has a certificate that this machine does not trust"
    elif not sent:
        what = f"'{server}' accepts no connection"
    else:
        what = f"'{server}' closed the connection before the response was complete"
    return HostUnavailable(
        f"{what}, so '{_label(request)}' has no response ({type(error).__name__}); try again later", sent=sent
    )
