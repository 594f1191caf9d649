"""Handles lifecycle requests: verifies the token, reads the body, and stores the change before it acknowledges.

Before it fetches an unknown install key, it checks everything that can be checked without the key.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.fetch_budget import caller_of
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.request import BODY_TIMEOUT_S, InboundRequest, Receive, read_body
from addonkit.errors import PayloadInvalid, TenantUnknown, TokenInvalid
from addonkit.extension.registry import Registry
from addonkit.log import structlog
from addonkit.protocol.canonical import query_matches
from addonkit.protocol.payloads import MAX_PAYLOAD, LifecyclePayload, read_payload
from addonkit.protocol.tokens import Claims, Peek, check_unverified, peek, verify
from addonkit.protocol.urls import check_host_url, origin
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind, Installation, TokenUse
from addonkit.tenancy.store import TenantStore

HOST_SIGNED_EVENTS = ("installed", "uninstalled")
"""Events whose requests are signed with an install key; the others are signed with the site's shared secret."""
LIFECYCLE_EVENTS = (*HOST_SIGNED_EVENTS, "enabled", "disabled")
LIFECYCLE_PATHS = {f"/lifecycle/{event}": event for event in LIFECYCLE_EVENTS}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Handles requests for ``/lifecycle/<event>``.

    Attributes:
        registry: The enabled plugins and the deployment's settings.
        store: Stores tenants and enqueues lifecycle jobs.
        directory: In-memory cache of tenants, invalidated after each change.
        install_keys: Keys that sign ``installed`` and ``uninstalled``.
        wake: Wakes the job worker of this process.
        has_proxies: Whether the addresses of requests are those of the trusted proxies' clients.
        now: Returns the Unix time, in seconds.
        body_timeout_s: Longest time to receive a body, in seconds.
    """

    registry: Registry
    store: TenantStore
    directory: Directory
    install_keys: InstallKeys
    wake: Callable[[], None]
    has_proxies: bool = False
    now: Callable[[], float] = time.time
    body_timeout_s: float = BODY_TIMEOUT_S

    async def handle(self, event: str, request: InboundRequest, receive: Receive) -> None:
        """Authenticate, read and store one request; the response is a 204.

        The body is read after the token was verified, so a caller without a valid token cannot make the add-on wait.
        Only if the token's install key is unknown is it read before.

        Raises:
            Refused: The request is refused with the status of the exception.
        """
        body = _Body(receive, self.body_timeout_s)
        use, claims = await self.authenticate(event, request, body)
        request.bind_tenant(claims.issuer)
        payload = self._payload(event, claims.issuer, await body.read())
        if event in HOST_SIGNED_EVENTS:
            await self.install_keys.confirm(claims.key_id)
        await self._store(event, request, payload, use)

    async def authenticate(
        self, event: str, request: InboundRequest, body: _Body | None = None
    ) -> tuple[TokenUse, Claims]:
        """Verify the token of a request and its query hash.

        Replay protection is not checked here: the store uses up the token in the transaction that stores the change.

        Args:
            event: The event of the request.
            request: The request.
            body: Its body, which is read if the token's key must be fetched; None if there is none to read.

        Returns:
            What the store needs for replay protection, and the claims of the token.

        Raises:
            Refused: The token is missing, invalid, or signed for another request.
        """
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is not Place.HEADER:
            raise TokenInvalid(f"'{event}' has no token in 'Authorization: JWT …'")
        seen = peek(credential.token)
        check_algorithm(event, seen)
        if event in HOST_SIGNED_EVENTS and await self.install_keys.find(seen.key_id) is None:
            await self._check_unverified(event, request, credential.token, seen, body)
        caller = caller_of(request, is_resolved=self.has_proxies)
        claims = await self.verify_token(event, credential.token, caller)
        if claims.qsh is None or not query_matches(claims.qsh, request.method, request.path, request.query):
            raise TokenInvalid(
                f"the query hash of '{claims.issuer}' does not match this method, path and query", kind="query"
            )
        return TokenUse.of(credential.token, issued_at=claims.issued_at, expires_at=claims.expires_at), claims

    async def verify_token(self, event: str, token: str, caller: str | None = None) -> Claims:
        """Verify the format, the algorithm and the signature of a token and return its claims.

        Args:
            event: The event of the request.
            token: Its token.
            caller: The address of the caller if it is known, for the limit on fetches of install keys.
        """
        seen = peek(token)
        check_algorithm(event, seen)
        if event in HOST_SIGNED_EVENTS:
            return await self._verify_install_key(token, seen, caller)
        return await self._verify_shared_secret(token, seen)

    async def _check_unverified(
        self, event: str, request: InboundRequest, token: str, seen: Peek, body: _Body | None
    ) -> None:
        """Check all that does not need the key: audience, times, query hash and body."""
        settings = self.registry.settings
        qsh = check_unverified(
            token,
            audiences=settings.addon.base_urls,
            now=self.now(),
            leeway_s=settings.host.clock_leeway_s,
        )
        if qsh is None or not query_matches(qsh, request.method, request.path, request.query):
            raise TokenInvalid(
                f"the query hash of '{seen.issuer}' does not match this method, path and query", kind="query"
            )
        if body is not None:
            self._payload(event, seen.issuer, await body.read())

    async def _verify_install_key(self, token: str, seen: Peek, caller: str | None) -> Claims:
        """Verify ``installed`` or ``uninstalled``: RS256, with a base URL of the add-on as its audience."""
        settings = self.registry.settings
        return verify(
            token,
            await self.install_keys.get(seen.key_id, caller),
            "RS256",
            issuer=seen.issuer,
            audiences=settings.addon.base_urls,
            audience_required=True,
            now=self.now(),
            leeway_s=settings.host.clock_leeway_s,
        )

    async def _verify_shared_secret(self, token: str, seen: Peek) -> Claims:
        """Verify ``enabled`` or ``disabled``: HS256 with the site's current secret, in any state of the tenant."""
        record = await self.store.find(IdentityKind.CLIENT_KEY, seen.issuer)
        if record is None or record.secret is None:
            raise TenantUnknown(f"no site '{seen.issuer}' has installed the add-on")
        settings = self.registry.settings
        return verify(
            token,
            record.secret,
            "HS256",
            issuer=seen.issuer,
            audiences=settings.addon.base_urls | {settings.addon.key, seen.issuer},
            now=self.now(),
            leeway_s=settings.host.clock_leeway_s,
        )

    def _payload(self, event: str, issuer: str, body: bytes) -> LifecyclePayload:
        """Read the body and check that it belongs to the site that signed the token."""
        payload = read_payload(body, event)
        if payload.client_key != issuer:
            raise TokenInvalid(f"the token is from '{issuer}', but the body names another site")
        if payload.key != self.registry.settings.addon.key:
            raise PayloadInvalid(f"'key' is '{payload.key}', expected '{self.registry.settings.addon.key}'")
        return payload

    def _change(
        self, event: str, payload: LifecyclePayload, use: TokenUse, on_lost_key: Callable[[str], None]
    ) -> Awaitable[object]:
        """Return the store's coroutine for the event; the caller awaits it."""
        listeners = self.registry.listeners(f"addon_{event}")
        if event == "installed":
            enabled = self.registry.listeners("addon_enabled")
            return self.store.install(self._installation(payload), use, listeners, enabled, on_lost_key)
        if event == "uninstalled":
            return self.store.uninstall(payload.client_key, use, listeners, payload.installation_id)
        return self.store.set_enabled(payload.client_key, event == "enabled", use, listeners)

    def _installation(self, payload: LifecyclePayload) -> Installation:
        try:
            base_url = check_host_url(payload.base_url, self.registry.settings.host.domains)
        except ValueError as wrong:
            raise PayloadInvalid(f"'baseUrl' is invalid: {wrong}") from None
        return Installation(
            client_key=payload.client_key,
            product=payload.product_type,
            base_url=base_url,
            display_url=self._display_url(payload, base_url),
            shared_secret=payload.shared_secret or "",
            oauth_client_id=payload.oauth_client_id,
            installation_id=payload.installation_id,
            help_center_url=_https_origin(payload.display_url_servicedesk_help_center),
        )

    def _display_url(self, payload: LifecyclePayload, base_url: str) -> str:
        """Return the site's display URL if it is an https URL, on any domain; otherwise the base URL."""
        return payload.display_url if payload.display_url and _https_origin(payload.display_url) else base_url

    async def _store(self, event: str, request: InboundRequest, payload: LifecyclePayload, use: TokenUse) -> None:
        changed = [payload.client_key]
        try:
            await self._change(event, payload, use, changed.append)
        finally:
            # Even after a cancellation, because the change may have been committed.
            for key in changed:
                self.directory.forget(key)
        self.wake()
        log.info("lifecycle.received", event_name=event, tenant=payload.client_key, request_id=request.request_id)


def _https_origin(url: str | None) -> str | None:
    """Return the origin of an https URL on any domain; None for everything else."""
    try:
        found = origin(url) if url else ""
    except ValueError:
        return None
    return found if found.startswith("https://") else None


class _Body:
    """A body that is read when it is needed first, and once."""

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        self._receive, self._timeout_s = receive, timeout_s
        self._read: bytes | None = None

    async def read(self) -> bytes:
        """Give the whole body; see ``request.read_body``."""
        if self._read is None:
            self._read = await read_body(self._receive, MAX_PAYLOAD, self._timeout_s)
        return self._read


def check_algorithm(event: str, seen: Peek) -> None:
    """Check that the token is signed with the algorithm of its event.

    Raises:
        TokenInvalid: It is signed with another one.
    """
    expected = "RS256" if event in HOST_SIGNED_EVENTS else "HS256"
    if seen.algorithm != expected:
        raise TokenInvalid(f"'{event}' is signed with {seen.algorithm}, expected {expected}")
