"""The HTTP transport: sends one request and reads its response, with limits on time and size.

All sites share one connection pool. Cookies are not kept, redirects are not followed, and proxies from the environment
are not used; that of the deployment is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from addonkit.errors import HostUnavailable, ResponseInvalid
from addonkit.http_client import DIRECT, BodyEncodingInvalid, BodyTooLarge, Network, new_client, read_body

MAX_CONNECTIONS = 200
MAX_IDLE_CONNECTIONS = 50
IDLE_S = 30.0
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
MAX_ERROR_BODY = 64 * 1024
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response with any status.

    Attributes:
        status: The HTTP status.
        headers: The headers; names in any case.
        content: The body, decompressed.
        stream: The response itself, whose body is not read yet; None if ``content`` has the body.
    """

    status: int
    headers: httpx2.Headers = field(repr=False)
    content: bytes = field(repr=False)
    stream: httpx2.Response | None = field(default=None, repr=False)


class Transport:
    """The connections of this process to all sites.

    Attributes:
        user_agent: The ``User-Agent`` header.
        network: The way to the sites.
    """

    def __init__(self, user_agent: str, network: Network = DIRECT) -> None:
        self.user_agent, self.network = user_agent, network
        self._client: httpx2.AsyncClient | None = None

    async def send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        content: bytes | None,
        max_bytes: int,
        *,
        streamed: bool = False,
    ) -> RawResponse:
        """Send one request and read its response.

        Args:
            method: In upper case.
            url: Sent without changes.
            headers: All headers, including the token.
            content: The body.
            max_bytes: Maximum size of the response body, decompressed, in bytes.
            streamed: Whether to leave the body of a response with status 200 unread; the caller closes its ``stream``.

        Raises:
            HostUnavailable: There was no complete response.
            ResponseInvalid: The response is too large, or its encoding is unknown or broken.
        """
        client = self._client = self._client or self._new_client()
        request = client.build_request(method, url, headers=headers, content=content)
        try:
            response = await client.send(request, stream=True)
            if streamed and response.status_code == 200:
                return RawResponse(200, response.headers, b"", response)
            try:
                body = await _read(response, max_bytes)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise _unavailable(request, error, self.network.proxy_name) from error
        return RawResponse(response.status_code, response.headers, body)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def _new_client(self) -> httpx2.AsyncClient:
        # Created with the first request, because reading the system's certificates takes a while.
        return new_client(
            self.network,
            headers={
                "user-agent": self.user_agent,
                "accept-encoding": "gzip",
                "accept": "application/json, */*;q=0.5",
            },
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=IDLE_S,
            ),
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )


async def _read(response: httpx2.Response, max_bytes: int) -> bytes:
    """Read and decompress the body; of an error response, at most ``MAX_ERROR_BODY`` bytes."""
    is_error = response.status_code >= 300
    limit = MAX_ERROR_BODY if is_error else max_bytes
    try:
        return await read_body(response, limit, decompress=True, truncate=is_error)
    except BodyTooLarge:
        raise ResponseInvalid(
            f"the host's response to '{_label(response.request)}' is larger than {limit} bytes; request less data, "
            "or raise max_bytes",
            status=response.status_code,
        ) from None
    except BodyEncodingInvalid as error:
        raise ResponseInvalid(
            f"the host's response to '{_label(response.request)}' cannot be decoded: {error}",
            status=response.status_code,
        ) from None


def _label(request: httpx2.Request) -> str:
    """Return method and path, escaped as they were sent."""
    return f"{request.method} {request.url.raw_path.partition(b'?')[0].decode('latin-1')}"


def _unavailable(request: httpx2.Request, error: httpx2.TransportError, proxy: str) -> HostUnavailable:
    sent = not isinstance(error, _NOT_SENT)
    server = request.url.host
    if isinstance(error, httpx2.TimeoutException):
        what = f"'{server}' did not respond in time"
    elif "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        what = f"'{server}' has a certificate that this machine does not trust"
    elif isinstance(error, httpx2.ProxyError):
        what = f"the proxy '{proxy}' refuses a connection to '{server}' ({str(error)[:3]}; see [host] proxy)"
    elif not sent:
        what = f"'{server}' accepts no connection" + (f" through the proxy '{proxy}'" if proxy else "")
    else:
        what = f"'{server}' closed the connection before the response was complete"
    return HostUnavailable(
        f"{what}, so '{_label(request)}' has no response ({type(error).__name__}); try again later", sent=sent
    )
