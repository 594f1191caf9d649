"""Session tokens: the facts of a page with an exact proof, signed by the add-on for the page's own requests.

The signing keys are derived from the encryption keys, so the host knows none of them. The edge decides which routes
accept a session token and who may renew it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from addonkit.context import Licence
from addonkit.errors import TokenInvalid
from addonkit.protocol.keys import Secret
from addonkit.protocol.own_tokens import OwnTokens
from addonkit.protocol.token_format import MAX_TOKEN
from addonkit.protocol.tokens import check_times, peek, verify

SESSION_LIFETIME_S = 15 * 60
"""Lifetime of one session token."""
RENEWABLE_S = 24 * 60 * 60
"""Time after the first token in which a page's session can be renewed."""
LEEWAY_S = 30
"""Tolerated difference between the clocks of two processes."""
SESSION_KIND = "addonkit-session"
"""The header's ``typ`` of a session token."""

_SessionClaims = tuple[Mapping[str, Any], str | None, int]
"""The claims ``context``, ``sub`` and ``exp`` of a verified token."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page that the host requested with an exact proof.

    Attributes:
        tenant_key: The tenant's client key.
        account_id: The user's account id; None for an anonymous visitor.
        plugin: The plugin that serves the page; the session is valid for its routes.
        objects: The objects that the page is about, by parameter name.
        licence: The licence as stated by the page's request.
        renewable_until: End of the session in Unix time, in seconds; 0 starts a new session.
        endpoint: The page's endpoint, ``<plugin>.<function>``; None in a session of a release that did not store it.
    """

    tenant_key: str
    account_id: str | None
    plugin: str
    objects: Mapping[str, str]
    licence: Licence
    renewable_until: int = 0
    endpoint: str | None = None


class Sessions:
    """Signs and verifies the session tokens of one add-on.

    Args:
        keys: Ids and bytes of the encryption keys; the first signs, all verify.
        addon_key: The add-on's key.

    Raises:
        ValueError: There is no key.
    """

    def __init__(self, keys: Sequence[tuple[str, bytes]], addon_key: str) -> None:
        if not keys:
            raise ValueError("sessions need an encryption key, but none is configured; add one to 'encryption_keys'")
        self._keys = {name: _derive(key) for name, key in keys}
        tokens = [OwnTokens(key, {"typ": SESSION_KIND, "kid": name}) for name, key in self._keys.items()]
        self._signing = tokens[0]
        self._tokens_by_head = {one.head: one for one in tokens}
        self._addon_key = addon_key
        self._audience = f"{SESSION_KIND}:{addon_key}"

    def mint(self, page: Page, now: float | None = None) -> str:
        """Sign a token for the page, valid for 15 minutes but not beyond the end of its session.

        Raises:
            TokenInvalid: The session has expired, or the page's objects make the token too long.
        """
        issued_at = int(time.time() if now is None else now)
        ends_at = min(page.renewable_until or issued_at + RENEWABLE_S, issued_at + RENEWABLE_S)
        if ends_at <= issued_at:
            raise TokenInvalid("the page's session has expired; reload the page")
        claims = {
            "iss": self._addon_key,
            "aud": self._audience,
            "iat": issued_at,
            "exp": min(issued_at + SESSION_LIFETIME_S, ends_at),
            "context": _context(page, ends_at),
        }
        if page.account_id is not None:
            claims["sub"] = page.account_id
        token = self._signing.sign(claims)
        if len(token) > MAX_TOKEN:
            raise TokenInvalid(f"the page's objects make a session token of over {MAX_TOKEN} characters; pass fewer")
        return token

    def read(self, token: str, now: float | None = None, *, allow_expired: bool = False) -> Page:
        """Verify a token and return its page.

        Args:
            token: As sent.
            now: Unix time in seconds; the current time by default.
            allow_expired: Accept an expired token until the end of its session, to renew it.

        Raises:
            TokenInvalid: It is not a session token of this add-on, was altered, or has expired.
        """
        moment = time.time() if now is None else now
        context, subject, expires_at = self._own_claims(token, moment) or self._verified_claims(token, moment)
        page = _page(context, subject)
        if moment >= (page.renewable_until if allow_expired else expires_at):
            raise TokenInvalid("the page's session has expired; renew it or reload the page", kind="expired")
        return page

    def _own_claims(self, token: str, now: float) -> _SessionClaims | None:
        """Return the claims of a token as this release writes it; None for any other token, valid or not."""
        tokens = self._tokens_by_head.get(token.partition(".")[0])
        claims = tokens.claims_of(token) if tokens else None
        if claims is None or claims.get("iss") != self._addon_key or claims.get("aud") != self._audience:
            return None
        check_times(claims, now, LEEWAY_S, SESSION_LIFETIME_S, RENEWABLE_S)
        return claims.get("context", {}), claims.get("sub") or None, claims["exp"]

    def _verified_claims(self, token: str, now: float) -> _SessionClaims:
        """Return the claims of a token that another release may have written, or raise what is wrong with it."""
        key = self._keys.get(peek(token).key_id or "")
        if key is None:
            raise TokenInvalid("the session token names a signing key that this deployment does not have")
        claims = verify(
            token,
            key,
            "HS256",
            issuer=self._addon_key,
            audiences=[self._audience],
            audience_required=True,
            now=now,
            leeway_s=LEEWAY_S,
            max_lifetime_s=SESSION_LIFETIME_S,
            grace_s=RENEWABLE_S,
            kind=SESSION_KIND,
        )
        return claims.context, claims.subject, claims.expires_at


def _derive(key: bytes) -> Secret:
    return Secret(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"addonkit session").derive(key))


def _context(page: Page, ends_at: int) -> dict[str, Any]:
    context: dict[str, Any] = {
        # The name that earlier releases know: during an upgrade, processes of both read each other's sessions.
        "client_key": page.tenant_key,
        "plugin": page.plugin,
        "objects": dict(page.objects),
        "licence": page.licence.value,
        "renewable_until": ends_at,
    }
    if page.endpoint is not None:
        context["endpoint"] = page.endpoint
    return context


def _page(context: Mapping[str, Any], account_id: str | None) -> Page:
    """Return the page of a token; a token of another release may lack fields."""
    try:
        return Page(
            tenant_key=context["client_key"],
            account_id=account_id,
            plugin=context["plugin"],
            objects=MappingProxyType(dict(context["objects"])),
            licence=Licence(context["licence"]),
            renewable_until=int(context["renewable_until"]),
            endpoint=context.get("endpoint"),
        )
    except (KeyError, TypeError, ValueError):
        raise TokenInvalid("the session token is of another release; reload the page") from None
