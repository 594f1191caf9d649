"""Tokens for acting as a user: asked of the host's token server, kept until shortly before they end.

Source: OAuth 2.0 JWT bearer grant (RFC 7523) as the host takes it: an assertion signed with the site's shared secret.
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

from addonkit.errors import HostError, HostUnavailable, ResponseInvalid, UserTokenDenied
from addonkit.hostapi.rate_limit import retry_after_s
from addonkit.hostapi.transport import RawResponse, Transport
from addonkit.protocol.tokens import sign
from addonkit.tenancy.record import TenantRecord

SERVER = "https://oauth-2-authorization-server.services.atlassian.com"
# Source: the host's own client, by the site's domain.
SERVERS = {
    ".jira-dev.com": "https://oauth-2-authorization-server.stg.services.atlassian.com",
    ".atlassian-us-gov-mod.net": "https://oauth-2-authorization-server.services.atlassian-us-gov-mod.com",
    ".atlassian-stg-fedm.net": "https://oauth-2-authorization-server.stg.services.atlassian-us-gov-mod.com",
}
ASSERTION_LIFE_S = 60
EARLY_S = 60.0
"""How long before its end a token is renewed, so that a call under way does not outlive it."""
MOST = 10_000
LARGEST = 64 * 1024
DEADLINE_S = 10.0

Key = tuple[str, bytes, str, str]
"""The client key, a digest of the secret that it was asked with, the account, the scopes."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float


class UserTokens:
    """The users' tokens of this process.

    They are dropped with what is remembered of their site, see ``forget``; and a token that was asked for with an
    earlier secret is given to nobody.

    Args:
        wire: The connections.
        server: Where tokens are asked for; by default the one of the site's domain.
    """

    def __init__(self, wire: Transport, server: str | None = None) -> None:
        self._wire, self._server = wire, server
        self._kept: LRUCache[Key, _Token] = LRUCache(MOST)
        self._asking: dict[Key, asyncio.Task[_Token]] = {}

    async def token(self, record: TenantRecord, account_id: str, scopes: str, *, again: bool = False) -> str:
        """A token for a user of a site.

        Args:
            record: The site.
            account_id: The user.
            scopes: What the token is good for, upper case, by spaces; nothing is all that the add-on has.
            again: Whether the one that is kept was refused.

        Raises:
            UserRefused: The host gives none, with the reason.
            HostDown: The token server did not answer.
        """
        key = (record.tenant.client_key, hashlib.sha256(record.secret).digest(), account_id, scopes)
        kept = self._kept.get(key)
        if kept is not None and not again and time.monotonic() < kept.until:
            return kept.text
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(record, account_id, scopes))
            task.add_done_callback(lambda done: self._ended(key, done))
        # others may wait for the same token: one caller's end must not end it
        return (await asyncio.shield(task)).text

    def forget(self, client_key: str) -> None:
        """Drop a site's tokens, after it was changed; what is being asked for is not kept."""
        for kept in (self._kept, self._asking):
            for key in [one for one in kept if one[0] == client_key]:
                del kept[key]

    def _ended(self, key: Key, task: asyncio.Task[_Token]) -> None:
        forgotten = self._asking.get(key) is not task
        if not forgotten:
            del self._asking[key]
        if not task.cancelled() and task.exception() is None and not forgotten:
            self._kept[key] = task.result()

    async def _ask(self, record: TenantRecord, account_id: str, scopes: str) -> _Token:
        server, site = self._server or server_of(record.tenant.base_url), record.tenant.base_url
        if record.oauth_client_id is None:
            raise UserTokenDenied(
                f"'{site}' named no OAuth client when it installed the add-on, so that nobody can be acted for; have "
                "it installed again with the scope 'ACT_AS_USER'",
                reason="not installed",
            )
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": _assertion(record, record.oauth_client_id, account_id, server),
            **({"scope": scopes} if scopes else {}),
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        try:
            async with asyncio.timeout(DEADLINE_S):
                url = httpx2.URL(f"{server}/oauth2/token")
                received = await self._wire.send("POST", url, headers, urlencode(form).encode(), LARGEST)
        except TimeoutError:
            raise HostUnavailable(
                f"the token server '{server}' was silent for too long; try again later", sent=True
            ) from None
        return _token_of(received, server)


def server_of(base_url: str) -> str:
    """The token server that a site's domain goes by."""
    name = urlsplit(base_url).hostname or ""
    return next((server for domain, server in SERVERS.items() if name.endswith(domain)), SERVER)


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
    return sign(claims, record.secret)


def _token_of(received: RawResponse, server: str) -> _Token:
    try:
        found: Any = orjson.loads(received.content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        found = {}
    if received.status == 200:
        text, life = found.get("access_token"), found.get("expires_in")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or type(life) is not int:
            raise ResponseInvalid(
                f"the token server '{server}' answered 200 without a token; try again later", status=200
            )
        return _Token(text, time.monotonic() + max(0.0, life - EARLY_S))
    raise _refusal(received, found, server)


def _refusal(received: RawResponse, found: dict[str, Any], server: str) -> HostError:
    """What a refusal means.

    Source: the errors of RFC 6749, section 5.2.
    """
    status = received.status
    if status == 429 or status >= 500:
        return HostUnavailable(
            f"the token server '{server}' answered {status}; try again later",
            sent=True,
            retry_after_s=retry_after_s(received.headers, time.time(), limited=status == 429),
        )
    error = found.get("error")
    reason, remedy = _REASONS.get(str(error), ("other", "look at the add-on's scopes and at the user"))
    said = found.get("error_description")
    words = f" ({error}{f': {said[:200]}' if isinstance(said, str) else ''})" if error else ""
    return UserTokenDenied(
        f"the token server '{server}' answered {status} and gives no token for the user{words}; {remedy}",
        reason=reason,
        status=status,
    )


_REASONS = {
    "invalid_grant": ("inactive", "the account is not active on the site, or not one of its users"),
    "access_denied": ("inactive", "the account is not active on the site, or not one of its users"),
    "invalid_scope": ("scope", "the site has not granted these scopes; an administrator has to accept them"),
    "unauthorized_client": ("scope", "the add-on may not act as users there; it needs the scope 'ACT_AS_USER'"),
    "invalid_client": ("not installed", "the host does not know this installation; have the add-on installed again"),
}
