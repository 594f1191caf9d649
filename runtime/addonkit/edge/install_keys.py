"""Install keys: the host's RSA keys that sign lifecycle requests, by key id: in memory, the database or a key host.

Concurrent requests for one key share one fetch (single flight). Fetches of keys that nobody knows are limited
(``edge.fetch_budget``). A key is stored once a lifecycle request was verified with it, so that a start, another process
or a key host that is down needs no fetch, and so that nobody else can fill the table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachetools import LRUCache, TTLCache
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from addonkit.edge.fetch_budget import FetchBudget
from addonkit.edge.key_hosts import KeyHosts, public_key
from addonkit.errors import HostUnreachable, TokenInvalid
from addonkit.http_client import DIRECT, Network
from addonkit.log import structlog
from addonkit.protocol.tokens import check_key_id
from addonkit.single_flight import SingleFlight
from addonkit.tenancy.record import StoredInstallKey

MAX_FETCHED_KEYS = 256
MAX_CACHED_MISSES = 4096
MISS_LIFE_S = 60
REFRESH_S = 24 * 3600.0
# A request waits so long for a refresh, and then uses the known key; the refresh goes on.
REFRESH_WAIT_S = 1.5
# After a refresh that failed, the known key is used so long without another attempt.
REFRESH_RETRY_S = 300.0
# How often the stored keys are read again for a key id that is not among them.
RELOAD_S = 1.0

log = structlog.get_logger()


class KeyStore(Protocol):
    """Where install keys are stored."""

    async def load(self) -> list[StoredInstallKey]:
        """Give all stored keys."""

    async def save(self, key: StoredInstallKey) -> None:
        """Store a key, or replace the one with its id."""

    async def delete(self, key_id: str) -> None:
        """Delete a key."""


@dataclass(slots=True)
class _Known:
    """A key with the Unix time at which a key host was last asked for it.

    Attributes:
        retry_at: When to try a failed refresh again, on the monotonic clock.
    """

    pem: str
    key: RSAPublicKey
    asked_at: float
    retry_at: float = 0.0


class InstallKeys:
    """Finds install keys by key id (``kid``).

    Known keys are asked for again after a day; a key that its hosts have withdrawn is deleted, and while they fail, the
    known key is used. Unknown key ids are cached for a minute.

    Args:
        hosts: Base URLs of the key hosts, in the order in which they are asked.
        clock: Monotonic seconds.
        store: Where keys are stored; None keeps them in memory only.
        refresh_s: Age from which a known key is asked for again, in seconds.
        now: Returns the Unix time, in seconds.
        network: The way to the key hosts.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        *,
        store: KeyStore | None = None,
        refresh_s: float = REFRESH_S,
        now: Callable[[], float] = time.time,
        network: Network = DIRECT,
    ) -> None:
        self._hosts, self._clock, self._store, self._now = KeyHosts(hosts, network), clock, store, now
        self._refresh_s = refresh_s
        self._stored: dict[str, _Known] = {}
        self._fetched: LRUCache[str, _Known] = LRUCache(MAX_FETCHED_KEYS)
        self._misses: TTLCache[str, bool] = TTLCache(MAX_CACHED_MISSES, MISS_LIFE_S, timer=clock)
        self._fetches: SingleFlight[str, _Known] = SingleFlight(own_context=True)
        self._loads: SingleFlight[str, None] = SingleFlight(own_context=True)
        self._loaded_at: float | None = None
        self._budget = FetchBudget(self._hosts.urls, clock)

    async def get(self, key_id: str | None, caller: str | None = None) -> RSAPublicKey:
        """Give the key that a token names, and fetch it if it is not known.

        Args:
            key_id: The token's ``kid``.
            caller: The address of the caller if it is known, for the limit on fetches.

        Raises:
            TokenInvalid: The key id is missing or malformed, or every key host responded with 404.
            HostUnreachable: No key host returned the key, and one of them failed or returned something else; or more
                than ``FETCHES_PER_MINUTE`` keys were requested.
        """
        kid = check_key_id(key_id)
        if (known := await self.find(kid)) is not None:
            return known
        if kid in self._misses:
            raise TokenInvalid(f"no key host knows the key '{kid}'; they were asked within the last minute")
        if kid not in self._fetches:
            self._budget.take_for_caller(caller)
        return (await self._fetches.run(kid, lambda: self._fetch(kid, self._budget.take_for_host))).key

    async def find(self, key_id: str | None) -> RSAPublicKey | None:
        """Give the key that a token names if it is known, without a limit; None if it must be fetched.

        Raises:
            TokenInvalid: The key id is missing or malformed, or the key was withdrawn.
            StorageUnavailable: The stored keys cannot be read.
        """
        kid = check_key_id(key_id)
        known = self._known(kid)
        if known is None:
            await self._load()
            known = self._known(kid)
        if known is None:
            return None
        if self._now() - known.asked_at >= self._refresh_s and self._clock() >= known.retry_at:
            known = await self._refresh(kid, known)
        return known.key

    async def confirm(self, key_id: str | None) -> None:
        """Store a key with which a lifecycle request was verified, unless it is stored.

        Raises:
            StorageUnavailable: The key cannot be stored.
        """
        if key_id is None or key_id in self._stored or (known := self._fetched.get(key_id)) is None:
            return
        if self._store is not None:
            await self._store.save(StoredInstallKey(key_id, known.pem, int(known.asked_at)))
        self._stored[key_id] = known

    async def close(self) -> None:
        """Close the connections to the key hosts."""
        await self._fetches.cancel()
        await self._loads.cancel()
        await self._hosts.close()

    def _known(self, kid: str) -> _Known | None:
        return self._stored.get(kid) or self._fetched.get(kid)

    async def _load(self) -> None:
        """Read the stored keys, at most once a second: another process may have stored one."""
        if self._store is None or (self._loaded_at is not None and self._clock() - self._loaded_at < RELOAD_S):
            return
        await self._loads.run("all", self._load_all)

    async def _load_all(self) -> None:
        assert self._store is not None  # noqa: S101 - for the type checker: checked before the task is started
        for row in await self._store.load():
            if row.key_id not in self._stored:
                try:
                    self._stored[row.key_id] = _Known(row.pem, public_key(row.pem), row.asked_at)
                except ValueError as wrong:
                    log.error("install_key.unreadable", key_id=row.key_id, reason=f"the database holds {wrong}")
        self._loaded_at = self._clock()

    async def _refresh(self, kid: str, known: _Known) -> _Known:
        """Ask for a known key again; while the key hosts fail or are slow, the known one is used."""
        try:
            async with asyncio.timeout(REFRESH_WAIT_S):
                return await self._fetches.run(kid, lambda: self._fetch(kid))
        except (HostUnreachable, TimeoutError) as failed:
            known.retry_at = self._clock() + REFRESH_RETRY_S
            log.warning("install_key.not_refreshed", key_id=kid, reason=str(failed) or "the key hosts are slow")
            return known

    async def _fetch(self, kid: str, may_ask: Callable[[str], bool] = lambda _: True) -> _Known:
        pem = await self._hosts.fetch(kid, may_ask)
        if pem is None:
            await self._withdraw(kid)
            self._misses[kid] = True
            raise TokenInvalid(f"no key host knows the key '{kid}'")
        known = _Known(pem, public_key(pem), self._now())
        if kid in self._stored:
            self._stored[kid] = known
            if self._store is not None:
                await self._store.save(StoredInstallKey(kid, pem, int(known.asked_at)))
        else:
            self._fetched[kid] = known
        return known

    async def _withdraw(self, kid: str) -> None:
        self._fetched.pop(kid, None)
        if self._stored.pop(kid, None) is not None:
            log.warning("install_key.withdrawn", key_id=kid)
            if self._store is not None:
                await self._store.delete(kid)
