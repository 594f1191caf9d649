"""Tokens for calls as a user: requested from the host's token server (single flight) and cached until they expire.

Source: OAuth 2.0 JWT bearer grant (RFC 7523) as the host implements it: the assertion is signed with the shared secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import orjson
from cachetools import LRUCache

from addonkit import foreign_json
from addonkit.errors import HostError, HostUnavailable, ResponseInvalid, UserTokenDenied
from addonkit.hostapi.rate_limit import retry_after_s
from addonkit.hostapi.transport import RawResponse, Transport
from addonkit.protocol.tokens import sign
from addonkit.single_flight import SingleFlight
from addonkit.tenancy.record import TenantRecord

DEFAULT_SERVER = "https://oauth-2-authorization-server.services.atlassian.com"
# Source: the host's own client, by the site's domain.
SERVERS = {
    ".jira-dev.com": "https://oauth-2-authorization-server.stg.services.atlassian.com",
    ".atlassian-us-gov-mod.net": "https://oauth-2-authorization-server.services.atlassian-us-gov-mod.com",
    ".atlassian-stg-fedm.net": "https://oauth-2-authorization-server.stg.services.atlassian-us-gov-mod.com",
}
ASSERTION_LIFE_S = 60
RENEW_EARLY_S = 60.0
"""A token is renewed so many seconds before it expires, so that it does not expire during a call."""
MAX_CACHED = 10_000
MAX_RESPONSE_BYTES = 64 * 1024
DEADLINE_S = 10.0

Key = tuple[str, bytes, str, str]
"""Key of the tenant, digest of the shared secret, account id, scopes."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float


class UserTokens:
    """The token cache of this process.

    The cache key contains a digest of the shared secret: a token that was requested with an earlier secret is not used.

    Args:
        transport: The connections.
        server: URL of the token server; by default the one for the site's domain.
    """

    def __init__(self, transport: Transport, server: str | None = None) -> None:
        self._transport, self._server = transport, server
        self._cache: LRUCache[Key, _Token] = LRUCache(MAX_CACHED)
        self._requests: SingleFlight[Key, _Token] = SingleFlight()

    async def token(self, record: TenantRecord, account_id: str, scopes: str, *, renew: bool = False) -> str:
        """Return a token for a user of a site.

        Args:
            record: The site.
            account_id: The user.
            scopes: The token's scopes, in upper case, separated by spaces; empty for all scopes of the add-on.
            renew: Whether to ignore the cached token, because the host has refused it.

        Raises:
            UserTokenDenied: The host gives no token; ``reason`` says why.
            HostUnavailable: The token server did not answer.
        """
        key = (record.tenant.key, hashlib.sha256(record.signing_secret()).digest(), account_id, scopes)
        cached = self._cache.get(key)
        if cached is not None and not renew and time.monotonic() < cached.renew_at:
            return cached.text
        token = await self._requests.run(key, lambda: self._request_and_cache(key, record, account_id, scopes))
        return token.text

    def forget(self, tenant_key: str) -> None:
        """Drop the tokens of a site that has changed; running requests for its tokens do not cache their result."""
        for key in [each for each in self._cache if each[0] == tenant_key]:
            del self._cache[key]
        running = self._requests.keys()
        self._requests.forget([each for each in running if each[0] == tenant_key])

    async def _request_and_cache(self, key: Key, record: TenantRecord, account_id: str, scopes: str) -> _Token:
        token = await self._request(record, account_id, scopes)
        if self._requests.is_current(key):
            self._cache[key] = token
        return token

    async def _request(self, record: TenantRecord, account_id: str, scopes: str) -> _Token:
        server, site = self._server or server_of(record.tenant.base_url), record.tenant.base_url
        if record.oauth_client_id is None:
            raise UserTokenDenied(
                f"'{site}' sent no OAuth client id when it installed the add-on, so the add-on cannot act as its "
                "users; install the add-on again, with the scope 'ACT_AS_USER'",
                reason="not installed",
            )
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": _assertion(record, record.oauth_client_id, account_id, server),
            **({"scope": scopes} if scopes else {}),
        }
        url, headers = httpx2.URL(f"{server}/oauth2/token"), {"content-type": "application/x-www-form-urlencoded"}
        try:
            async with asyncio.timeout(DEADLINE_S):
                response = await self._transport.send(
                    "POST", url, headers, urlencode(form).encode(), MAX_RESPONSE_BYTES
                )
        except TimeoutError:
            raise HostUnavailable(
                f"the token server '{server}' did not respond within {DEADLINE_S:g} s; try again later", sent=True
            ) from None
        return _parse(response, server)


def server_of(base_url: str) -> str:
    """Return the URL of the token server for a site's domain."""
    name = urlsplit(base_url).hostname or ""
    return next((server for domain, server in SERVERS.items() if name.endswith(domain)), DEFAULT_SERVER)


def _assertion(record: TenantRecord, client_id: str, account_id: str, server: str) -> str:
    now = int(time.time())
    claims = {
        "iss": f"urn:atlassian:connect:clientid:{client_id}",
        "sub": f"urn:atlassian:connect:useraccountid:{account_id}",
        "tnt": record.tenant.base_url,
        "aud": server,
        "iat": now,
        "exp": now + ASSERTION_LIFE_S,
    }
    return sign(claims, record.signing_secret())


def _parse(response: RawResponse, server: str) -> _Token:
    try:
        body: Any = foreign_json.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        body = {}
    if response.status != 200:
        raise _error(response, body, server)
    text, life_s = body.get("access_token"), body.get("expires_in")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or type(life_s) is not int:
        raise ResponseInvalid(f"the token server '{server}' answered 200 without a token; try again later", status=200)
    return _Token(text, time.monotonic() + max(0.0, life_s - RENEW_EARLY_S))


def _error(response: RawResponse, body: dict[str, Any], server: str) -> HostError:
    """Build the error for a response other than 200.

    Source: the error codes of RFC 6749, section 5.2.
    """
    status = response.status
    if status == 429 or status >= 500:
        return HostUnavailable(
            f"the token server '{server}' answered {status}; try again later",
            sent=True,
            retry_after_s=retry_after_s(response.headers, time.time(), limited=status == 429),
        )
    code, description = body.get("error"), body.get("error_description")
    reason, explanation = _REASONS.get(str(code), ("other", "check the add-on's scopes and the user"))
    details = f" ({code}{f': {description[:200]}' if isinstance(description, str) else ''})" if code else ""
    return UserTokenDenied(
        f"the token server '{server}' answered {status} and gives no token for the user{details}; {explanation}",
        reason=reason,
        status=status,
        code=str(code)[:80] if code else None,
    )


_REASONS = {
    "invalid_grant": ("inactive", "the account is not active on the site, or not one of its users"),
    "access_denied": ("inactive", "the account is not active on the site, or not one of its users"),
    "invalid_scope": ("scope", "the site has not granted these scopes; an administrator has to accept them"),
    "unauthorized_client": ("scope", "the add-on may not act as users there; it needs the scope 'ACT_AS_USER'"),
    "invalid_client": ("not installed", "the host does not know this installation; install the add-on again"),
}
