"""The public keys that sign installations, asked from the host's key servers and remembered."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from cachetools import LRUCache, TTLCache
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from addonkit.errors import HostUnreachable, TokenInvalid
from addonkit.log import structlog
from addonkit.protocol.tokens import check_key_id

if TYPE_CHECKING:
    import httpx2

LARGEST_KEY = 16 * 1024
MIN_BITS = 2048
TIMEOUT_S = 4.0
PEM_BEGIN, PEM_END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"
MISS_LIFE_S = 60
LOOKUPS_PER_MINUTE = 60

log = structlog.get_logger()


class InstallKeys:
    """Keys by ``kid``: positive answers are kept, since a kid is never reused; misses for a minute.

    Args:
        hosts: Base URLs of the key servers, asked in this order.
        clock: Monotonic seconds.
    """

    def __init__(self, hosts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts, self._clock = tuple(host.rstrip("/") for host in hosts), clock
        self._keys: LRUCache[str, RSAPublicKey] = LRUCache(256)
        self._misses: TTLCache[str, bool] = TTLCache(4096, MISS_LIFE_S, timer=clock)
        self._underway: dict[str, asyncio.Task[RSAPublicKey]] = {}
        self._lookups: list[float] = []
        self._client: httpx2.AsyncClient | None = None

    async def get(self, key_id: str | None) -> RSAPublicKey:
        """The key that a token names.

        Raises:
            TokenInvalid: The kid is none, or no server knows it.
            HostUnreachable: A server did not answer, or answered with no key, and no other had it.
        """
        kid = check_key_id(key_id)
        if (known := self._keys.get(kid)) is not None:
            return known
        if kid in self._misses:
            raise TokenInvalid(f"no key server knows the key '{kid}'; it was asked within the last minute")
        if kid not in self._underway:
            self._count_lookup()
            task = asyncio.ensure_future(self._find(kid))
            self._underway[kid] = task
            task.add_done_callback(lambda done: self._ended(kid, done))
        return await asyncio.shield(self._underway[kid])

    async def close(self) -> None:
        """Close the connections to the key servers."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _ended(self, kid: str, task: asyncio.Task[RSAPublicKey]) -> None:
        self._underway.pop(kid, None)
        # everyone who waited may be gone: without this, asyncio would complain of an error that nobody took
        if not task.cancelled():
            task.exception()

    def _count_lookup(self) -> None:
        """Bound what a flood of made-up kids can make us ask."""
        now = self._clock()
        self._lookups = [at for at in self._lookups if now - at < 60]
        if len(self._lookups) >= LOOKUPS_PER_MINUTE:
            raise HostUnreachable("more unknown keys were asked for in a minute than key servers are troubled with")
        self._lookups.append(now)

    async def _find(self, kid: str) -> RSAPublicKey:
        troubled = []
        for host in self._hosts:
            try:
                key = await self._ask(host, kid)
            except _NoAnswerError as trouble:
                troubled.append(f"{host} {trouble}")
                continue
            if key is not None:
                self._keys[kid] = key
                return key
        if troubled:
            raise HostUnreachable(f"the key '{kid}' cannot be had: {', '.join(troubled)}")
        self._misses[kid] = True
        raise TokenInvalid(f"no key server knows the key '{kid}'")

    async def _ask(self, host: str, kid: str) -> RSAPublicKey | None:
        """The key, None for a 404, or an exception for anything else."""
        import httpx2

        try:
            async with asyncio.timeout(TIMEOUT_S), self._connected().stream("GET", f"{host}/{kid}") as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise _NoAnswerError(f"answered {response.status_code}")
                body = await _bounded(response)
        except (httpx2.HTTPError, TimeoutError) as trouble:
            raise _NoAnswerError(f"did not answer ({type(trouble).__name__})") from None
        return _public_key(body)

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2

            # uncompressed, so that a small answer cannot unfold into a large one
            headers = {"accept-encoding": "identity"}
            self._client = httpx2.AsyncClient(
                headers=headers, verify=_certificates(), follow_redirects=False, timeout=TIMEOUT_S, trust_env=False
            )
        return self._client


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, read once in a process: it takes longer than asking a server."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


class _NoAnswerError(Exception):
    """A key server said neither yes nor no."""


async def _bounded(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_KEY:
            raise _NoAnswerError(f"answered with more than {LARGEST_KEY} bytes")
    return body


def _public_key(body: bytes) -> RSAPublicKey:
    text = body.strip()
    # the parser would also find a key in the middle of a page
    if not (text.startswith(PEM_BEGIN) and text.endswith(PEM_END)):
        raise _NoAnswerError("answered with something that is no PEM key")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise _NoAnswerError("answered with something that is no PEM key") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise _NoAnswerError(f"answered with a key that is not RSA of {MIN_BITS} bits or more")
    return key
