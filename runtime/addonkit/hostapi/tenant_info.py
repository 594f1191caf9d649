"""Asks sites for their cloud ids: ``GET <origin>/_edge/tenant_info``, which every site answers to anybody.

Only sites in ``[host] domains`` are asked, without credentials, and no redirect is followed: what another server states
about itself is not a fact about the site.

Source: the production runbook of a peer (Figma's Jira add-on) reads the cloud id there; the answer is
``{"cloudId": "<UUID>"}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import orjson

from addonkit.errors import HostError
from addonkit.foreign_json import loads
from addonkit.http_client import DIRECT, BodyTooLarge, Network, new_client, read_body
from addonkit.protocol.urls import check_host_url, origin
from addonkit.tenancy.cloud_ids import parse_cloud_id

if TYPE_CHECKING:
    import httpx2

PATH = "/_edge/tenant_info"
TIMEOUT_S = 10.0
"""Longest time for one answer as a whole, in seconds."""
MAX_RESPONSE_BYTES = 16 * 1024


class TenantInfo:
    """Asks sites for their cloud ids; an asynchronous context manager that holds the connections.

    Args:
        domains: ``[host] domains``.
        user_agent: The ``User-Agent`` header.
        network: The way to the sites.
    """

    def __init__(self, domains: Sequence[str], user_agent: str, network: Network = DIRECT) -> None:
        self._domains, self._user_agent, self._network = domains, user_agent, network

    async def __aenter__(self) -> Self:
        # Uncompressed, so that a small answer cannot unfold into a large one.
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": self._user_agent}
        self._client = new_client(self._network, headers=headers, timeout=TIMEOUT_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch(self, base_url: str) -> str:
        """Return the cloud id of the site at a base URL.

        Raises:
            HostError: The site may not be asked, or does not answer with a cloud id; the message says what it did.
        """
        import httpx2

        try:
            url = origin(check_host_url(base_url, self._domains)) + PATH
        except ValueError as problem:
            raise HostError(f"{problem}; it was not asked") from None
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.stream("GET", url) as response:
                _check_status(response)
                body = await read_body(response, MAX_RESPONSE_BYTES)
        except BodyTooLarge:
            raise HostError(f"'{url}' answered with more than {MAX_RESPONSE_BYTES} bytes") from None
        except TimeoutError:
            raise HostError(f"'{url}' did not answer within {TIMEOUT_S:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise HostError(f"'{url}' did not answer ({type(problem).__name__})") from None
        return _cloud_id(url, body)


def _check_status(response: httpx2.Response) -> None:
    """Raise unless the status is 200; name the site that a redirect leads to."""
    if response.status_code == 200:
        return
    found = f"'{response.request.url}' answered {response.status_code}"
    if not response.has_redirect_location:
        raise HostError(f"{found}, expected 200")
    try:
        target = f" to '{origin(response.headers['location'])}'"
    except ValueError:
        target = ""
    raise HostError(
        f"{found}, a redirect{target} that was not followed; if that is the site, use 'addonkit tenants link'"
    )


def _cloud_id(url: str, body: bytes) -> str:
    try:
        answer = loads(body)
    except orjson.JSONDecodeError:
        raise HostError(f"'{url}' answered with something other than JSON") from None
    found = answer.get("cloudId") if isinstance(answer, dict) else None
    if not isinstance(found, str):
        raise HostError(f"'{url}' answered with JSON that has no text 'cloudId'")
    try:
        return parse_cloud_id(found)
    except ValueError as problem:
        raise HostError(f"'{url}' answered with a 'cloudId' that is {problem}") from None
