"""Sending one request and reading its answer, both bounded: connections of all sites in one pool, no cookies."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from addonkit.errors import HostUnavailable, ResponseInvalid

CONNECTIONS = 200
IDLE_CONNECTIONS = 50
IDLE_S = 30.0
CONNECT_S, SILENCE_S = 5.0, 15.0
LARGEST_REFUSAL = 64 * 1024
SLACK = 64 * 1024
"""What a packed body may be larger than the plain one."""
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: In any case.
        content: The body, decompressed.
    """

    status: int
    headers: httpx2.Headers = field(repr=False)
    content: bytes = field(repr=False)


class Transport:
    """The connections of this process to all sites.

    Args:
        user_agent: What we are called.
    """

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._client: httpx2.AsyncClient | None = None

    async def send(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None, max_bytes: int
    ) -> RawResponse:
        """Send one request, follow nothing, and read the answer.

        Args:
            method: In upper case.
            url: Sent as it stands.
            headers: Those that sign it among them.
            content: The body.
            max_bytes: Largest body of the answer, decompressed.

        Raises:
            HostDown: There was no whole answer.
            AnswerUnusable: It is larger.
        """
        client = self._client = self._client or self._made()
        request = client.build_request(method, url, headers=dict(headers), content=content)
        try:
            response = await client.send(request, stream=True)
            try:
                body = await _read(response, max_bytes)
            finally:
                await response.aclose()
        except httpx2.TransportError as fault:
            raise _down(request, fault) from fault
        return RawResponse(response.status_code, response.headers, body)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def _made(self) -> httpx2.AsyncClient:
        # made with the first call: reading the system's certificates takes a while
        return httpx2.AsyncClient(
            headers={
                "user-agent": self._user_agent,
                "accept-encoding": "gzip",
                "accept": "application/json, */*;q=0.5",
            },
            verify=httpx2.create_ssl_context(trust_env=False),
            # a proxy that the environment names would read what goes to sites on loopback
            trust_env=False,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=IDLE_CONNECTIONS, keepalive_expiry=IDLE_S
            ),
            timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S),
            # a cookie that one site or user was given would go out with another's call
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
        )


async def _read(response: httpx2.Response, most: int) -> bytes:
    """The body, decompressed by ourselves: a library's buffer may grow a thousandfold with one piece."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", "gzip"):
        raise ResponseInvalid(
            f"the host's answer is packed by '{packed[:40]}', expected 'gzip' or nothing", status=response.status_code
        )
    unpacker = zlib.decompressobj(wbits=31) if packed == "gzip" else None
    is_refusal = response.status_code >= 300
    most = LARGEST_REFUSAL if is_refusal else most
    pieces, size, raw = [], 0, 0
    async for piece in response.aiter_raw():
        plain = piece if unpacker is None else _unpacked(unpacker, piece, most - size + 1, response)
        size, raw = size + len(plain), raw + len(piece)
        if size > most and is_refusal:
            break  # enough of it to tell why
        if size > most or raw > most + SLACK:
            raise ResponseInvalid(
                f"the host's answer to '{_call(response.request)}' is larger than {most} "
                "bytes; ask for less of it, or raise max_bytes",
                status=response.status_code,
            )
        pieces.append(plain)
    if unpacker is not None and raw and not unpacker.eof and not (is_refusal and size > most):
        raise httpx2.RemoteProtocolError("the packed body ended too soon")
    return b"".join(pieces)


def _unpacked(unpacker: zlib._Decompress, piece: bytes, most: int, response: httpx2.Response) -> bytes:
    try:
        if not unpacker.eof:
            plain = unpacker.decompress(piece, max(1, most))
            if not unpacker.unused_data:
                return plain
    except zlib.error:
        pass
    raise ResponseInvalid(
        f"the host's answer to '{_call(response.request)}' is not packed as it says", status=response.status_code
    )


def _call(request: httpx2.Request) -> str:
    """Method and path, escaped as they went out."""
    return f"{request.method} {request.url.raw_path.partition(b'?')[0].decode('latin-1')}"


def _down(request: httpx2.Request, fault: httpx2.TransportError) -> HostUnavailable:
    sent = not isinstance(fault, _NOT_SENT)
    site, call = request.url.host, _call(request)
    if isinstance(fault, httpx2.TimeoutException):
        what = f"'{site}' was silent for too long"
    elif "CERTIFICATE" in str(fault).upper() or "SSL" in str(fault).upper():
        what = f"'{site}' does not show a certificate that this machine believes"
    elif not sent:
        what = f"'{site}' takes no connection"
    else:
        what = f"'{site}' broke the answer off"
    return HostUnavailable(
        f"{what}, so that there is none to '{call}' ({type(fault).__name__}); try again later", sent=sent
    )
