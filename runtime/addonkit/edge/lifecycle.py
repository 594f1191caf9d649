"""The host's lifecycle calls: verified first, read second, stored before they are acknowledged."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.request import BODY_TIMEOUT_S, InboundRequest, Receive, read_body
from addonkit.errors import PayloadInvalid, TenantUnknown, TokenInvalid
from addonkit.extension.registry import Registry
from addonkit.log import structlog
from addonkit.protocol.canonical import query_matches
from addonkit.protocol.payloads import MAX_PAYLOAD, LifecyclePayload, read_payload
from addonkit.protocol.tokens import Claims, Peek, peek, verify
from addonkit.protocol.urls import check_host_url, origin
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore

BY_THE_HOST = ("installed", "uninstalled")
EVENTS = (*BY_THE_HOST, "enabled", "disabled")
PATHS = {f"/lifecycle/{event}": event for event in EVENTS}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Answers ``/lifecycle/<event>``.

    Attributes:
        registry: The enabled plugins and the deployment's settings.
        store: Where sites are kept.
        directory: What pages look sites up in.
        keys: The host's install keys.
        authenticator: Knows how tokens of a site are verified.
        wake: Tells those who work that there is something to do.
        now: Unix time in seconds.
        body_timeout_s: Longest time that a body may take to come.
    """

    registry: Registry
    store: TenantStore
    directory: Directory
    keys: InstallKeys
    authenticator: Authenticator
    wake: Callable[[], None]
    now: Callable[[], float] = time.time
    body_timeout_s: float = BODY_TIMEOUT_S

    async def handle(self, event: str, request: InboundRequest, receive: Receive) -> None:
        """Verify, read and store one call; returning means 204.

        The body is read last: nobody but a signer makes us wait for one.

        Raises:
            Refused: With the status that the host is answered.
        """
        use, claims = await self.proven(event, request)
        request.note_site(claims.issuer)
        payload = self._payload(event, claims, await read_body(receive, MAX_PAYLOAD, self.body_timeout_s))
        await self._store(event, request, payload.client_key, self._change(event, payload, use))

    async def proven(self, event: str, request: InboundRequest) -> tuple[TokenUse, Claims]:
        """The call's token, not yet spent, and what it says; it was signed by whom it must be, for this very request.

        Raises:
            Refused: As for ``handle``.
        """
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is not Place.HEADER:
            raise TokenInvalid(f"'{event}' came without a token in 'Authorization: JWT …'")
        claims = await self.verified(event, credential.token)
        if claims.qsh is None or not query_matches(claims.qsh, request.method, request.path, request.query):
            raise TokenInvalid(
                f"the query hash of '{claims.issuer}' does not fit this method, path and query", kind="query"
            )
        return TokenUse.of(credential.token, issued_at=claims.issued_at, expires_at=claims.expires_at), claims

    async def verified(self, event: str, token: str) -> Claims:
        """What the token says, once its shape, its algorithm and its signature are found to be right."""
        seen = peek(token)
        check_algorithm(event, seen)
        return await (self._signed_by_the_host if event in BY_THE_HOST else self._signed_by_the_site)(token, seen)

    async def _signed_by_the_host(self, token: str, seen: Peek) -> Claims:
        """``installed`` and ``uninstalled``: RS256, meant for our base URL."""
        settings = self.registry.settings
        return verify(
            token,
            await self.keys.get(seen.key_id),
            "RS256",
            issuer=seen.issuer,
            audiences=frozenset({settings.addon.base_url}),
            audience_required=True,
            now=self.now(),
            leeway_s=settings.host.clock_leeway_s,
        )

    async def _signed_by_the_site(self, token: str, seen: Peek) -> Claims:
        """``enabled`` and ``disabled``: HS256 with the site's present secret, whatever state it is in."""
        record = await self.store.find(seen.issuer)
        if record is None:
            raise TenantUnknown(f"no site '{seen.issuer}' has installed the add-on")
        settings = self.registry.settings
        return verify(
            token,
            record.secret,
            "HS256",
            issuer=seen.issuer,
            audiences=frozenset({settings.addon.base_url, settings.addon.key, seen.issuer}),
            now=self.now(),
            leeway_s=settings.host.clock_leeway_s,
        )

    def _payload(self, event: str, claims: Claims, body: bytes) -> LifecyclePayload:
        """The body, once it is known to be of the site that signed."""
        payload = read_payload(body, event)
        if payload.client_key != claims.issuer:
            raise TokenInvalid(f"the token of '{claims.issuer}' came with the body of another site")
        if payload.key != self.registry.settings.addon.key:
            raise PayloadInvalid(f"'key' is '{payload.key}', expected '{self.registry.settings.addon.key}'")
        return payload

    def _change(self, event: str, payload: LifecyclePayload, use: TokenUse) -> Awaitable[object]:
        """What is to be stored."""
        listeners = self.registry.listeners(f"addon_{event}")
        if event == "installed":
            return self.store.install(self._installation(payload), use, listeners)
        if event == "uninstalled":
            return self.store.uninstall(payload.client_key, use, listeners)
        return self.store.set_enabled(payload.client_key, event == "enabled", use, listeners)

    def _installation(self, payload: LifecyclePayload) -> Installation:
        try:
            base_url = check_host_url(payload.base_url, self.registry.settings.host.domains)
        except ValueError as wrong:
            raise PayloadInvalid(f"'baseUrl' cannot be used: {wrong}") from None
        return Installation(
            client_key=payload.client_key,
            product=payload.product_type,
            base_url=base_url,
            display_url=self._display_url(payload, base_url),
            shared_secret=payload.shared_secret or "",
            oauth_client_id=payload.oauth_client_id,
            installation_id=payload.installation_id,
        )

    def _display_url(self, payload: LifecyclePayload, base_url: str) -> str:
        """Where users see the site: an https address of any domain, for sites may have their own; else the base URL."""
        if not payload.display_url:
            return base_url
        try:
            shown = origin(payload.display_url)
        except ValueError:
            return base_url
        return payload.display_url if shown.startswith("https://") else base_url

    async def _store(self, event: str, request: InboundRequest, client_key: str, change: Awaitable[object]) -> None:
        try:
            await change
        finally:
            # also when we were cancelled: the change may be on disk all the same
            self.directory.forget(client_key)
        self.wake()
        log.info("lifecycle", event_name=event, client_key=client_key, request_id=request.request_id)


def check_algorithm(event: str, seen: Peek) -> None:
    """Refuse a call that is signed otherwise than its kind is.

    Raises:
        TokenInvalid: It is.
    """
    expected = "RS256" if event in BY_THE_HOST else "HS256"
    if seen.algorithm != expected:
        raise TokenInvalid(f"'{event}' is signed with {seen.algorithm}, expected {expected}")
