"""Limits on fetching install keys: token buckets per key host and per caller.

Anybody can invent key ids, and each one that nobody knows costs a request to every key host. Key ids that are known are
never counted, so that a flood of invented ones does not delay the sites that install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from cachetools import LRUCache

from addonkit.edge.request import InboundRequest
from addonkit.errors import HostUnreachable

FETCHES_PER_MINUTE = 60_000
"""Per key host. Callers whose address is not known may use half of them: as many as one process can fetch at all.

A flood of invented keys then leaves a new key its fetch.
"""
FETCHES_PER_CALLER = 60
"""Per minute, for each caller whose address is known."""
MAX_CALLERS = 4096
PROXY_HEADERS = (b"forwarded", b"x-forwarded-for", b"via")


class TokenBucket:
    """Allows so many events per minute, and as many at once after a quiet minute."""

    __slots__ = ("_at", "_left", "_per_minute")

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_minute, self._left, self._at = per_minute, float(per_minute), now

    def take(self, now: float) -> bool:
        """Take one event if there is one left."""
        self._left = min(self._per_minute, self._left + max(0.0, now - self._at) * self._per_minute / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class FetchBudget:
    """Decides whether an unknown install key may be fetched.

    Args:
        hosts: The key hosts.
        clock: Monotonic seconds.
    """

    def __init__(self, hosts: Sequence[str], clock: Callable[[], float]) -> None:
        self._clock, now = clock, clock()
        self._hosts = {host: TokenBucket(FETCHES_PER_MINUTE, now) for host in hosts}
        self._unknown_callers = TokenBucket(FETCHES_PER_MINUTE // 2, now)
        self._callers: LRUCache[str, TokenBucket] = LRUCache(MAX_CALLERS)

    def take_for_caller(self, caller: str | None) -> None:
        """Count one key for a caller; None stands for all callers whose address is not known.

        Raises:
            HostUnreachable: The caller has asked for too many within a minute.
        """
        now = self._clock()
        if caller is None:
            bucket, limit = self._unknown_callers, f"{FETCHES_PER_MINUTE // 2} unknown install keys were requested by"
            name = "callers whose address is not known; set [server] trusted_proxies if a proxy hides them"
        else:
            bucket = self._callers.setdefault(caller, TokenBucket(FETCHES_PER_CALLER, now))
            limit, name = f"{FETCHES_PER_CALLER} unknown install keys were requested by", f"'{caller}'"
        if not bucket.take(now):
            raise HostUnreachable(f"more than {limit} {name} within a minute")

    def take_for_host(self, host: str) -> bool:
        """Count one request to a key host, if it may have one more."""
        return self._hosts[host].take(self._clock())


def caller_of(request: InboundRequest, *, is_resolved: bool) -> str | None:
    """Give the address of the caller, or None if it may be the address of a proxy that many callers share.

    Args:
        request: The request.
        is_resolved: Whether ``[server] trusted_proxies`` are set, so that the address is that of the proxy's client.
    """
    try:
        address = ip_address(request.client)
    except ValueError:
        return None
    is_proxied = not is_resolved and any(name in PROXY_HEADERS for name, _ in request.headers)
    return request.client if address.is_global and not is_proxied else None
