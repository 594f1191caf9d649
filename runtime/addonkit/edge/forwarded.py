"""Who the caller is where proxies stand in between: ``X-Forwarded-For``, as far as it is to be believed.

Nothing else that a proxy may say of a request is looked at: where we are served is said by ``[addon] base_url``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from addonkit.edge.request import Scope

Address = IPv4Address | IPv6Address
UNIX = "unix"
FORWARDED = b"x-forwarded-for"
LONGEST_ADDRESS = 60
MOST_HOPS = 32
"""Entries that are looked at, from the right; those before them are nobody's whom we trust."""


class TrustedProxies:
    """The proxies that are believed.

    Args:
        trusted: Addresses and networks, and ``unix`` for whoever connects by a Unix socket.

    Raises:
        ValueError: One of them is none of these.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        names = list(trusted)
        self._unix = UNIX in names
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(name) for name in names if name != UNIX]

    def client_of(self, scope: Scope) -> tuple[str, int] | None:
        """Address and port of the caller: the peer, or the nearest one that a trusted proxy names and that is none.

        The port is 0 where the address was told by a proxy; None is a Unix socket's peer of which nothing is told.
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
    """The peer's address for the log; ``unix`` for one without."""
    client = scope.get("client")
    return str(client[0]) if client else UNIX


def _entries(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """What the header's lines say, the last hop first."""
    line = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
    if line:
        yield from (entry.strip(" \t") for entry in reversed(line.rsplit(",", MOST_HOPS)[-MOST_HOPS:]))


def _address(text: str) -> Address | None:
    """An address as proxies write it, also ``1.2.3.4:56`` and ``[::1]:56``; None for anything else."""
    return _read(text) if len(text) <= LONGEST_ADDRESS else None


@lru_cache(4096)
def _read(text: str) -> Address | None:
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
        # a zone may be any text at all, and means something on the machine that wrote it alone
        found = ip_address(host) if "%" not in host else None
    except ValueError:
        return None
    # one machine has one name, whichever family the socket that it came by is of
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
