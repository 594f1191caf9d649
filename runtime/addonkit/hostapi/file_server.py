"""The second request of a download: a file server of the host, another origin that a response redirects to.

The redirect's URL contains its own permission and comes from the host, so the request carries no credentials. It goes
to public addresses over https only, and it is not redirected again: a URL that an attacker could write into a host's
response must not reach this machine's network. Sites on loopback, which only a development add-on has, may redirect to
loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from urllib.parse import urljoin

import httpx2

from addonkit.errors import HostError, HostUnavailable
from addonkit.hostapi.call import HostCall
from addonkit.http_client import DIRECT, Network, new_client
from addonkit.protocol.urls import is_loopback

MAX_URL_LENGTH = 16 * 1024
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
_PLAIN = re.compile(r"[!-\[\]-~]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FileServer:
    """Sends requests to file servers; each process has one instance.

    Args:
        user_agent: The ``User-Agent`` header.
        network: The way to the file servers. A proxy resolves their names itself, so only addresses are checked here.
    """

    def __init__(self, user_agent: str, network: Network = DIRECT) -> None:
        self._user_agent, self._network = user_agent, network
        self._client: httpx2.AsyncClient | None = None

    async def open(self, call: HostCall, location: str) -> httpx2.Response:
        """Request the URL that a call was redirected to; the caller closes the response.

        Args:
            call: The redirected call.
            location: The ``Location`` header. It is secret: whoever has it can read the file.

        Returns:
            The response with status 200, whose body is not read yet.

        Raises:
            HostError: The URL may not be followed, or the status is not 200.
            HostUnavailable: There was no response.
        """
        try:
            url = _checked_url(call, location)
            local = is_loopback(call.tenant.base_url)
            if self._network.proxy is None:
                targets = [str(address) for address in await _checked_addresses(url, allow_loopback=local)]
            else:
                _check_literal(url, allow_loopback=local)
                targets = [url.host]
        except ValueError as error:
            raise HostError(
                f"'{call.tenant.base_url}' redirected '{call.label}' to a URL that is not followed: {error}"
            ) from None
        response = await self._send(call, url, targets)
        if response.status_code != 200:
            await response.aclose()
            raise HostError(
                f"the file server '{url.host}' answered {response.status_code} after '{call.label}' was redirected to "
                "it, expected 200",
                status=response.status_code,
            )
        return response

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _send(self, call: HostCall, url: httpx2.URL, targets: list[str]) -> httpx2.Response:
        """Send the request to the first of these addresses that accepts a connection."""
        client = self._client = self._client or self._new_client()
        for number, target in enumerate(targets, 1):
            # Sent to the address that was checked: a second resolution of the name could give another one.
            request = client.build_request(
                "GET",
                url.copy_with(host=target),
                headers={"host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},
            )
            request.extensions["timeout"] = client.timeout.as_dict()
            try:
                return await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if number == len(targets):
                    raise _unavailable(call, url.host, error) from error
            except httpx2.TransportError as error:
                raise _unavailable(call, url.host, error) from error
        raise AssertionError("unreachable")

    def _new_client(self) -> httpx2.AsyncClient:
        return new_client(
            self._network,
            headers={"user-agent": self._user_agent, "accept": "*/*", "accept-encoding": "identity"},
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # Connections are kept by address; one that was verified for a name must not be used for another name.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )


def _unavailable(call: HostCall, server: str, error: httpx2.TransportError) -> HostUnavailable:
    """Return the error for a file server that gave no complete response; its URL is not in the message."""
    return HostUnavailable(
        f"the file server '{server}' gave no complete response after '{call.label}' was redirected to it "
        f"({type(error).__name__}); try again later",
        sent=True,
    )


def _checked_url(call: HostCall, location: str) -> httpx2.URL:
    """Return the URL that a redirect leads to.

    Raises:
        ValueError: It may not be followed; the message does not contain the URL, except for its host.
    """
    text = urljoin(str(call.url.full), location.strip()).partition("#")[0]
    if len(text) > MAX_URL_LENGTH or not _PLAIN.fullmatch(text):
        raise ValueError(f"it is longer than {MAX_URL_LENGTH} characters or contains spaces or '\\'")
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        raise ValueError("it is not a URL") from None
    if not url.host or url.userinfo:
        raise ValueError("it has no host, or a user name")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(call.tenant.base_url)):
        raise ValueError(f"its scheme is '{url.scheme[:20]}', expected 'https'")
    return url


async def _checked_addresses(url: httpx2.URL, *, allow_loopback: bool) -> list[Address]:
    """Resolve the name of a URL and return its addresses, all of which may be reached.

    Raises:
        ValueError: One of them may not, or there is none.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ValueError(f"its host '{url.host}' cannot be resolved") from None
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
    for address in addresses:
        _check_address(url, address, allow_loopback=allow_loopback)
    return addresses


def _check_literal(url: httpx2.URL, *, allow_loopback: bool) -> None:
    """Check the host of a URL as far as that is possible without resolving it.

    Raises:
        ValueError: It is an address that may not be reached, or a name of this machine or its network.
    """
    try:
        # Also of the older forms, such as '127.1' and '2130706433'.
        address = ipaddress.ip_address(url.host if ":" in url.host else socket.inet_aton(url.host))
    except (OSError, ValueError):
        if url.host.rstrip(".").endswith("localhost"):
            address = ipaddress.ip_address("127.0.0.1")
        elif "." not in url.host.strip(".") or url.scheme != "https":
            raise ValueError(f"its host '{url.host}' is not a public name, or its scheme is not 'https'") from None
        else:
            return
    _check_address(url, address, allow_loopback=allow_loopback)


def _check_address(url: httpx2.URL, address: Address, *, allow_loopback: bool) -> None:
    if not (is_public(address) or (allow_loopback and address.is_loopback)):
        raise ValueError(f"its host '{url.host}' is not on the internet: it has a private or reserved address")
    if url.scheme != "https" and not address.is_loopback:
        raise ValueError("its scheme is 'http', expected 'https'")


def is_public(address: Address) -> bool:
    """Whether an address is on the internet, and does not stand for one that is not."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if embedded is None and address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
