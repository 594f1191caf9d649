"""Install keys: the host's RSA keys that sign lifecycle requests, fetched by key id and cached.

Concurrent requests for one key share one fetch (single flight), and fetches are limited per minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cachetools import LRUCache, TTLCache
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from addonkit.errors import HostUnreachable, TokenInvalid
from addonkit.http_client import BodyTooLarge, new_client, read_body
from addonkit.protocol.tokens import check_key_id
from addonkit.single_flight import SingleFlight

if TYPE_CHECKING:
    import httpx2

MAX_KEY_BYTES = 16 * 1024
MIN_BITS = 2048
TIMEOUT_S = 4.0
PEM_BEGIN, PEM_END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"
MAX_CACHED_KEYS = 256
MAX_CACHED_MISSES = 4096
MISS_LIFE_S = 60
FETCHES_PER_MINUTE = 60


class InstallKeys:
    """Fetches install keys by key id (``kid``).

    Found keys are cached without expiry, since the host never reuses a key id. Unknown key ids are cached for a minute.

    Args:
        hosts: Base URLs of the key hosts, in the order in which they are asked.
        clock: Monotonic seconds.
    """

    def __init__(self, hosts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts, self._clock = tuple(host.rstrip("/") for host in hosts), clock
        self._keys: LRUCache[str, RSAPublicKey] = LRUCache(MAX_CACHED_KEYS)
        self._misses: TTLCache[str, bool] = TTLCache(MAX_CACHED_MISSES, MISS_LIFE_S, timer=clock)
        self._fetches: SingleFlight[str, RSAPublicKey] = SingleFlight()
        self._fetched_at: list[float] = []
        self._client: httpx2.AsyncClient | None = None

    async def get(self, key_id: str | None) -> RSAPublicKey:
        """Return the key with this key id, from the cache or from a key host.

        Raises:
            TokenInvalid: The key id is missing or malformed, or every key host responded with 404.
            HostUnreachable: No key host returned the key, and one of them failed or returned something else; or more
                than ``FETCHES_PER_MINUTE`` keys were requested.
        """
        kid = check_key_id(key_id)
        if (known := self._keys.get(kid)) is not None:
            return known
        if kid in self._misses:
            raise TokenInvalid(f"no key host knows the key '{kid}'; they were asked within the last minute")
        if kid not in self._fetches:
            self._limit_fetches()
        return await self._fetches.run(kid, lambda: self._fetch(kid))

    async def close(self) -> None:
        """Close the connections to the key hosts."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _limit_fetches(self) -> None:
        """Count a fetch, and refuse more than ``FETCHES_PER_MINUTE``: each invented key id would cause one.

        Raises:
            HostUnreachable: There were too many fetches within the last minute.
        """
        now = self._clock()
        self._fetched_at = [at for at in self._fetched_at if now - at < 60]
        if len(self._fetched_at) >= FETCHES_PER_MINUTE:
            raise HostUnreachable(f"more than {FETCHES_PER_MINUTE} unknown install keys were requested in a minute")
        self._fetched_at.append(now)

    async def _fetch(self, kid: str) -> RSAPublicKey:
        """Request the key from each key host in order; the key is unknown if all of them respond with 404."""
        failures = []
        for host in self._hosts:
            try:
                key = await self._fetch_from(host, kid)
            except _KeyHostFailedError as failed:
                failures.append(f"{host} {failed}")
                continue
            if key is not None:
                self._keys[kid] = key
                return key
        if failures:
            raise HostUnreachable(f"the install key '{kid}' cannot be fetched: {', '.join(failures)}")
        self._misses[kid] = True
        raise TokenInvalid(f"no key host knows the key '{kid}'")

    async def _fetch_from(self, host: str, kid: str) -> RSAPublicKey | None:
        """Request the key from one key host; return None for a 404.

        Raises:
            _KeyHostFailedError: It did not respond, or responded with something else.
        """
        import httpx2

        try:
            async with asyncio.timeout(TIMEOUT_S), self._connected().stream("GET", f"{host}/{kid}") as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise _KeyHostFailedError(f"answered {response.status_code}")
                body = await read_body(response, MAX_KEY_BYTES)
        except BodyTooLarge:
            raise _KeyHostFailedError(f"answered with more than {MAX_KEY_BYTES} bytes") from None
        except (httpx2.HTTPError, TimeoutError) as failed:
            raise _KeyHostFailedError(f"did not answer ({type(failed).__name__})") from None
        return _public_key(body)

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            # Uncompressed: a small compressed response could expand to a very large one.
            self._client = new_client(headers={"accept-encoding": "identity"}, timeout=TIMEOUT_S)
        return self._client


class _KeyHostFailedError(Exception):
    """A key host responded neither with the key nor with a 404."""


def _public_key(body: bytes) -> RSAPublicKey:
    text = body.strip()
    # The parser would also find a key in the middle of a page.
    if not (text.startswith(PEM_BEGIN) and text.endswith(PEM_END)):
        raise _KeyHostFailedError("answered with something other than a PEM public key")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise _KeyHostFailedError("answered with something other than a PEM public key") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise _KeyHostFailedError(f"answered with a key that is not RSA of {MIN_BITS} bits or more")
    return key
