"""The caller's address behind proxies, from ``X-Forwarded-For`` headers of trusted proxies.

Other headers of proxies are ignored: ``[addon] base_url`` sets the scheme, host and path of the add-on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from addonkit.edge.request import Scope

Address = IPv4Address | IPv6Address
UNIX = "unix"
FORWARDED = b"x-forwarded-for"
PROXY_HEADERS = (b"x-forwarded-", b"forwarded", b"x-real-ip", b"via")
"""Beginnings of the headers by which a proxy makes itself known."""
LOOPBACK_HOST = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
MAX_ADDRESS_LENGTH = 60
MAX_HOPS = 32
"""Number of entries that are read, from the right; earlier entries are ignored."""


class TrustedProxies:
    """Finds the caller's address, trusting proxies by network.

    Args:
        trusted: Addresses and networks of the proxies; ``unix`` trusts connections over a Unix socket.

    Raises:
        ValueError: An entry is neither an address, nor a network, nor ``unix``.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        names = list(trusted)
        self._unix = UNIX in names
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(name) for name in names if name != UNIX]

    def client_of(self, scope: Scope) -> tuple[str, int] | None:
        """Return address and port of the caller.

        If the peer is not a trusted proxy, it is the caller. If it is one, the caller is the rightmost address of
        X-Forwarded-For that is not a trusted proxy, with port 0. None: the peer uses a Unix socket, and no header
        names the caller.
        """
        peer: tuple[str, int] | None = scope.get("client")
        if not self._trusts(_address(peer[0]) if peer else None, is_unix=not peer):
            return peer
        nearest: Address | None = None
        for entry in _entries(scope["headers"]):
            address = _address(entry)
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return peer if nearest is None else (str(nearest), 0)

    def _trusts(self, address: Address | None, *, is_unix: bool = False) -> bool:
        if address is None:
            return is_unix and self._unix
        return any(address in network for network in self._networks)


def peer_of(scope: Scope) -> str:
    """Return the peer's address for the log; ``unix`` for a connection over a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client else UNIX


def is_local(scope: Scope) -> bool:
    """Whether a request was sent on this machine to a loopback address, and no header shows that a proxy passed it on.

    The Host header is compared as well: by DNS rebinding, a foreign page can make a browser connect to loopback.
    """
    client = scope.get("client")
    if not client or not _is_loopback(str(client[0])):
        return False
    hosts = []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        elif name.startswith(PROXY_HEADERS):
            return False
    return len(hosts) == 1 and LOOPBACK_HOST.fullmatch(hosts[0]) is not None


def _entries(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Yield the entries of all X-Forwarded-For headers, the last hop first."""
    line = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
    if line:
        yield from (entry.strip(" \t") for entry in reversed(line.rsplit(",", MAX_HOPS)[-MAX_HOPS:]))


def _address(text: str) -> Address | None:
    """Parse an address, with or without a port: ``1.2.3.4``, ``1.2.3.4:56``, ``[::1]:56``; None for anything else."""
    return _parsed(text) if len(text) <= MAX_ADDRESS_LENGTH else None


@lru_cache(256)
def _is_loopback(text: str) -> bool:
    address = _address(text)
    return address is not None and address.is_loopback


@lru_cache(4096)
def _parsed(text: str) -> Address | None:
    host = text
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        # An IPv6 zone may be any text, and is only meaningful on the machine that wrote it.
        address = ip_address(host) if "%" not in host else None
    except ValueError:
        return None
    # An IPv4 address mapped into IPv6 is the same machine.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
