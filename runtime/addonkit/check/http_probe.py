"""HTTP probe: requests each address once, without credentials or redirects.

The add-on's own address is requested as the host does, without a proxy; other servers are requested as the add-on does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from addonkit.http_client import DIRECT, BodyTooLarge, Network, new_client, read_body
from addonkit.single_flight import SingleFlight

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 5.0
# Added to our own time-out, so that the client's time-out comes first and closes its connection.
GRACE_S = 1.0
MAX_BODY_BYTES = 1024 * 1024
# Uncompressed, because bodies are compared. JSON, because a refusal in JSON may contain its reason.
HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "addonkit-check"}


class Fault(StrEnum):
    """Why an address gave no usable response."""

    NAME = "name"
    """The host name cannot be resolved."""
    REFUSED = "refused"
    """Nothing listens there, or there is no route."""
    TIMEOUT = "timeout"
    """It did not respond in time."""
    CERTIFICATE = "certificate"
    """Its certificate is not trusted."""
    TLS = "tls"
    """The TLS handshake failed for another reason."""
    PROXY = "proxy"
    """The proxy refused the connection."""
    PROTOCOL = "protocol"
    """The response is not HTTP, or is too large."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """The TLS session of a response.

    Attributes:
        version: Such as ``TLSv1.3``.
        expires_at: When the server's certificate expires, Unix time in seconds.
    """

    version: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """The response of one address, or the reason why there is none.

    Attributes:
        url: What was requested.
        fault: None if there was a response.
        reason: The fault in words.
        status: HTTP status.
        headers: Header names in lower case and their values, in their order.
        body: At most 1 MB.
        tls: None without TLS.
        sent_at: Our clock when the request was sent, Unix time in seconds.
        received_at: Our clock when the response came.
    """

    url: str
    fault: Fault | None = None
    reason: str = ""
    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(default=b"", repr=False)
    tls: TlsSession | None = None
    sent_at: float = 0.0
    received_at: float = 0.0

    def all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """The first value of a header, or an empty string."""
        return next(iter(self.all(name)), "")

    def clock_difference_s(self) -> float | None:
        """Return the least possible difference between the server's clock and ours, in seconds; None without a date.

        It is positive if the server's clock is ahead, negative if it is behind. A ``Date`` header has whole seconds,
        and the server wrote it between our request and its response; a difference that this explains is 0.
        """
        with suppress(ValueError, TypeError):
            date = parsedate_to_datetime(self.header("date")).timestamp() + float(self.header("age") or 0)
            ahead, behind = date - self.received_at, date + 1 - self.sent_at
            return max(ahead, 0.0) or min(behind, 0.0)
        return None


class HttpProbe:
    """Requests addresses, each once; use it as an asynchronous context manager.

    Args:
        trusted: Certificate authorities; by default those of this machine.
        timeout_s: Longest time for each step of one request.
        network: The way to other servers.
    """

    def __init__(
        self, trusted: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S, network: Network = DIRECT
    ) -> None:
        self._trusted, self._timeout_s, self._network = trusted, timeout_s, network
        self._responses: dict[str, ProbeResponse] = {}
        self._flight: SingleFlight[str, ProbeResponse] = SingleFlight()
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    async def __aenter__(self) -> HttpProbe:
        for outgoing, network in ((False, DIRECT), (True, self._network)):
            self._clients[outgoing] = new_client(
                network, verify=self._trusted, headers=HEADERS, timeout=self._timeout_s
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._flight.cancel()
        for client in self._clients.values():
            await client.aclose()

    async def get(self, url: str, *, outgoing: bool = False) -> ProbeResponse:
        """Send GET to an address and return the response; all callers with the same address share one request.

        Args:
            url: The address.
            outgoing: Whether to use the proxy and the certificates with which the add-on sends requests.
        """
        if url not in self._responses:
            self._responses[url] = await self._flight.run(url, lambda: self._request(url, outgoing))
        return self._responses[url]

    async def _request(self, url: str, outgoing: bool) -> ProbeResponse:
        proxy = self._network.proxy_name if outgoing else ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await _resolve(urlsplit(proxy or url).hostname or "")
            async with asyncio.timeout(self._timeout_s + GRACE_S):
                return await self._send(url, outgoing)
        except Exception as error:
            fault, reason = _explain(error, self._timeout_s)
            return ProbeResponse(url, fault, f"through the proxy '{proxy}', {reason}" if proxy else reason)

    async def _send(self, url: str, outgoing: bool) -> ProbeResponse:
        sent_at = time.time()
        async with self._clients[outgoing].stream("GET", url) as response:
            received_at = time.time()
            return ProbeResponse(
                url,
                status=response.status_code,
                headers=[(name.lower(), value) for name, value in response.headers.multi_items()],
                tls=_tls_session(response.extensions["network_stream"].get_extra_info("ssl_object")),
                body=await read_body(response, MAX_BODY_BYTES),
                sent_at=sent_at,
                received_at=received_at,
            )


def _tls_session(connection: ssl.SSLObject | None) -> TlsSession | None:
    if connection is None:
        return None
    certificate: Mapping[str, Any] = connection.getpeercert() or {}
    return TlsSession(connection.version() or "", ssl.cert_time_to_seconds(certificate["notAfter"]))


async def _resolve(name: str) -> None:
    """Raise ``gaierror`` for a host name that cannot be resolved.

    Runs in a daemon thread, so that the process can exit before the system's own time-out for name servers is over.
    """
    loop = asyncio.get_running_loop()
    resolved: asyncio.Future[BaseException | None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if not resolved.done():
            resolved.set_result(error)

    def resolve() -> None:
        error: BaseException | None = None
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError as unknown:
            error = unknown
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=resolve, daemon=True).start()
    if (error := await resolved) is not None:
        raise error


def _explain(error: BaseException, timeout_s: float) -> tuple[Fault, str]:
    """Classify an exception by its first cause."""
    timeout = Fault.TIMEOUT, f"it did not respond within {timeout_s:g} s"
    if isinstance(error, TimeoutError) or type(error).__name__.endswith("Timeout"):
        return timeout
    if type(error).__name__ == "ProxyError":
        return Fault.PROXY, f"the proxy refuses the connection ({str(error)[:3]}; see [host] proxy)"
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return Fault.NAME, f"its name cannot be resolved from this machine ({cause.strerror})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Fault.CERTIFICATE, f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return Fault.TLS, f"the TLS handshake failed ({cause.reason or 'the connection was closed'})"
        if isinstance(cause, TimeoutError):
            return timeout
        if isinstance(cause, OSError) and cause.errno:
            return Fault.REFUSED, f"the connection failed ({os.strerror(cause.errno).lower()})"
    if isinstance(error, BodyTooLarge):
        return Fault.PROTOCOL, f"its response is larger than {MAX_BODY_BYTES} bytes"
    return Fault.PROTOCOL, "its response is not HTTP"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that caused an exception, the first cause first, and the exception itself."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    yield from reversed(chain)
