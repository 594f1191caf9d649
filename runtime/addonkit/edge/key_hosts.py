"""Key hosts: the host's servers that publish install keys by key id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from addonkit.errors import HostUnreachable
from addonkit.http_client import DIRECT, BodyTooLarge, Network, new_client, read_body

if TYPE_CHECKING:
    import httpx2

MAX_KEY_BYTES = 16 * 1024
MIN_BITS = 2048
TIMEOUT_S = 4.0
PEM_BEGIN, PEM_END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


class KeyHosts:
    """Asks one key host after the other for a key.

    Args:
        hosts: Base URLs, in the order in which they are asked.
        network: The way to them.
    """

    def __init__(self, hosts: Sequence[str], network: Network = DIRECT) -> None:
        self.urls, self._network = tuple(host.rstrip("/") for host in hosts), network
        self._client: httpx2.AsyncClient | None = None

    async def fetch(self, key_id: str, may_ask: Callable[[str], bool] = lambda _: True) -> str | None:
        """Give the PEM text of a key, or None if all key hosts answer that there is none.

        Args:
            key_id: A key id that is safe in a URL.
            may_ask: Called with the URL of each key host before it is asked; a host that may not be asked has failed.

        Raises:
            HostUnreachable: A key host failed, or sent something that is not a key, and no other had the key.
        """
        failures = []
        for url in self.urls:
            try:
                if not may_ask(url):
                    raise _KeyHostFailedError("was asked for too many keys within a minute")
                pem = await self._fetch_from(url, key_id)
            except _KeyHostFailedError as failed:
                failures.append(f"{url} {failed}")
                continue
            if pem is not None:
                return pem
        if failures:
            raise HostUnreachable(f"the install key '{key_id}' cannot be fetched: {', '.join(failures)}")
        return None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _fetch_from(self, url: str, key_id: str) -> str | None:
        """Give the key, or None for a 404; anything else is a failure."""
        import httpx2

        try:
            async with asyncio.timeout(TIMEOUT_S), self._connected().stream("GET", f"{url}/{key_id}") as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise _KeyHostFailedError(f"answered {response.status_code}")
                body = await read_body(response, MAX_KEY_BYTES)
        except BodyTooLarge:
            raise _KeyHostFailedError(f"answered with more than {MAX_KEY_BYTES} bytes") from None
        except (httpx2.HTTPError, TimeoutError) as failed:
            raise _KeyHostFailedError(f"did not answer ({type(failed).__name__})") from None
        pem = body.decode("latin-1").strip()
        try:
            public_key(pem)
        except ValueError as wrong:
            raise _KeyHostFailedError(f"answered with {wrong}") from None
        return pem

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            # Uncompressed, so that a small answer cannot unfold into a large one.
            self._client = new_client(self._network, headers={"accept-encoding": "identity"}, timeout=TIMEOUT_S)
        return self._client


class _KeyHostFailedError(Exception):
    """A key host gave neither the key nor a 404."""


def public_key(pem: str) -> RSAPublicKey:
    """Give the key in a PEM text.

    Raises:
        ValueError: It is not a public key that may sign installations; the message says what it is.
    """
    # The parser would also find a key in the middle of a page.
    if not (pem.startswith(PEM_BEGIN) and pem.endswith(PEM_END)):
        raise ValueError("something other than a PEM public key")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("something other than a PEM public key") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise ValueError(f"a key that is not RSA of {MIN_BITS} bits or more")
    return key
