"""Explains tokens for pages and routes: exact tokens, context tokens and sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound

from addonkit.app.application import ACCEPTED
from addonkit.check.context import Result, ok, skipped, warn, wrong
from addonkit.check.token_input import Request, TokenInput
from addonkit.check.token_stages import (
    STAGES,
    Stage,
    TokenCheck,
    clock_hint,
    describe_audience,
    describe_shape,
    describe_times,
    stage_of,
    stages_until,
    utc,
)
from addonkit.context import Context, Demand, Licence, Route, TenantState
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place
from addonkit.errors import Refused, SignatureInvalid, TokenInvalid
from addonkit.protocol.canonical import CONTEXT_QSH
from addonkit.protocol.tokens import peek
from addonkit.tenancy.record import IdentityKind, TenantRecord

WRONG_SIGNATURE_HINT = "the site may have a newer secret, or the token may be for another deployment of the add-on"


@dataclass(slots=True)
class PageTokenCheck(TokenCheck):
    """Checks a token for a page or another route of a plugin."""

    def stages(self) -> list[Stage]:
        """The stages in the order in which the edge verifies them."""
        if self.given.credential.place is Place.SESSION:
            return [("shape", self._shape), ("session", self._session), ("request", self._request)]
        return [
            ("shape", self._shape),
            ("site", self._site),
            ("signature", self._signature),
            ("request", self._request),
        ]

    @property
    def _authenticator(self) -> Authenticator:
        authenticator = self.addon.edge.authenticator
        assert authenticator.sightings is not None  # noqa: S101 - an add-on has them; for the type checker
        # A check changes no tenant.
        return replace(authenticator, sightings=replace(authenticator.sightings, is_dry_run=True))

    async def _shape(self) -> AsyncIterator[Result]:
        yield describe_shape(self.token)

    async def _site(self) -> AsyncIterator[Result]:
        issuer = peek(self.token).issuer
        record = await self._authenticator.known_tenant(IdentityKind.CLIENT_KEY, issuer)
        if record.tenant.state is TenantState.DISABLED and await self._enables(record):
            yield warn(f"'{record.tenant.base_url}', disabled; the token was issued later, which enables it", "site")
            return
        record = await self._authenticator.active_tenant(IdentityKind.CLIENT_KEY, issuer)
        yield ok(f"'{record.tenant.base_url}', {record.tenant.state}", "site")

    async def _enables(self, record: TenantRecord) -> bool:
        """Whether the token is valid, and was issued after the site was disabled."""
        authenticator = self._authenticator
        try:
            _, claims = await authenticator.verify_token(self.given.credential)
            if authenticator.sightings is not None:
                await authenticator.sightings.record(record, claims.issued_at)
        except Refused:
            return False
        return True

    async def _session(self) -> AsyncIterator[Result]:
        page = self._authenticator.sessions.read(self.token, now=self._authenticator.now())
        yield ok(f"a valid session of this add-on, for pages of the plugin '{page.plugin}'", "session")
        record = await self._authenticator.active_tenant(IdentityKind.KEY, page.tenant_key)
        yield ok(f"'{record.tenant.base_url}', {record.tenant.state}", "site")

    async def _signature(self) -> AsyncIterator[Result]:
        authenticator = self._authenticator
        try:
            record, claims = await authenticator.verify_token(self.given.credential)
        except Refused as refused:
            for result in stages_until(refused, STAGES[1:], await self._hint(refused)):
                yield result
            return
        if claims.qsh == CONTEXT_QSH and self.given.request is None:
            # A context token without its request is sent in the header.
            self.given = TokenInput(self.given.credential._replace(place=Place.HEADER))
        self.claims = claims
        yield ok(self._describe_secret(record), "signature")
        yield describe_times(claims, authenticator.now(), authenticator.leeway_s)
        yield describe_audience(claims)

    def _describe_secret(self, record: TenantRecord) -> str:
        """Describe which of its secrets the site has signed with."""
        return (
            "made with the site's secret"
            if self._is_made_with(record.secret, record)
            else f"made with the site's former secret, which is accepted until {utc(record.former_until)}"
        )

    def _is_made_with(self, secret: bytes | None, record: TenantRecord) -> bool:
        try:
            self._authenticator.verify_with_secret(self.token, secret, record)
        except SignatureInvalid:
            return False
        except TokenInvalid:
            return True
        return True

    async def _hint(self, refused: Refused) -> str:
        if stage_of(refused) != "signature":
            return clock_hint(refused, self._authenticator.now(), self._authenticator.leeway_s)
        if peek(self.token).algorithm == "RS256":
            return "only 'installed' and 'uninstalled' have tokens with RS256; check it with --event"
        record = await self._authenticator.directory.get(IdentityKind.CLIENT_KEY, peek(self.token).issuer)
        if record and record.former_secret and self._is_made_with(record.former_secret, record):
            until = utc(record.former_until)
            return f"it is made with the former secret, which is accepted until {until} and only in a page's URL"
        return WRONG_SIGNATURE_HINT

    async def _request(self) -> AsyncIterator[Result]:
        request = self.given.request
        if request is None:
            yield skipped("unknown; pass it with --request to check that the token is for it", "request")
            yield ok("the token itself is valid", "token")
            return
        inbound = request.with_credential(self.given.credential)
        if not inbound.is_unambiguous():
            yield wrong(f"the path '{request.path}' is ambiguous, which the add-on refuses with 404", "request")
            return
        try:
            context = await self._authenticator.authenticate(inbound, self.given.credential)
        except Refused as refused:
            reason = f"; {self.mismatch(request)}" if stage_of(refused) == "request" else ""
            yield wrong(f"{refused}{reason}", "request")
            return
        yield ok(f"the token is for {request.method} {request.path}, proof {context.proof}", "request")
        for result in self._route_results(request, context):
            yield result

    def _route_results(self, request: Request, context: Context) -> list[Result]:
        """Check that a route at the path accepts the proof."""
        try:
            endpoint, _ = self.addon.application.url_map.bind("addon").match(unquote(request.path), request.method)
        except NotFound:
            return [wrong(f"no enabled plugin has the path '{request.path}'", "route")]
        except MethodNotAllowed:
            return [wrong(f"'{request.path}' does not accept {request.method}", "route")]
        route = self._route(str(endpoint))
        if route.demand is not Demand.NOTHING and context.proof not in ACCEPTED[route.demand]:
            return [wrong(f"'{endpoint}' demands the proof '{route.demand}', found '{context.proof}'", "route")]
        is_paid = self.addon.deployment.settings.addon.licensing
        return [
            ok(f"'{endpoint}' of the plugin '{route.plugin}'", "route"),
            *(_licence_results(route, context) if is_paid else []),
            _accepted(context),
        ]

    def _route(self, endpoint: str) -> Route:
        known = (route for one in self.addon.deployment.registry.contributions.values() for route in one.routes)
        return next(route for route in known if route.endpoint == endpoint)


def _licence_results(route: Route, context: Context) -> list[Result]:
    if not route.licensed or context.licence is Licence.ACTIVE:
        return []
    return [
        warn(f"the page requires a licence, but the site's is '{context.licence}'; a plugin decides on it", "licence")
    ]


def _accepted(context: Context) -> Result:
    objects = "".join(f", {name} '{value}'" for name, value in context.objects.items())
    return ok(
        f"accepted: site '{context.tenant.base_url}' ({context.tenant.key}), account "
        f"'{context.account_id or 'anonymous'}', licence {context.licence}, proof {context.proof}{objects}",
        "token",
    )
