"""Tokens of pages: the host's for one request, the host's for a page's calls, and our sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound

from addonkit.app.addon import Addon
from addonkit.app.application import ACCEPTED
from addonkit.check.qsh_explain import explained
from addonkit.check.result import Finding, State
from addonkit.check.token_input import Request, TokenInput
from addonkit.check.token_stages import (
    STAGES,
    Step,
    audience_of,
    clock_hint,
    shape_of,
    stage_of,
    stages_until,
    times_of,
    utc,
    well,
)
from addonkit.context import Context, Demand, Licence, Route
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place
from addonkit.edge.lifecycle import LIFECYCLE_PATHS
from addonkit.errors import Refused, SignatureInvalid, TokenInvalid
from addonkit.protocol.canonical import CONTEXT_QSH
from addonkit.protocol.tokens import Claims, peek
from addonkit.protocol.urls import path_of
from addonkit.tenancy.record import TenantRecord

REPLACED = "the site may have a new secret since, or it is a token of another deployment that this site installed"


@dataclass(slots=True)
class PageToken:
    """One token that is to open a page, or a route of a page's own.

    Attributes:
        addon: Not started; its database is open.
        pasted: The token, and the request if it is known.
    """

    addon: Addon
    pasted: TokenInput
    _claims: Claims | None = field(default=None, repr=False)

    def steps(self) -> list[Step]:
        """What is looked at, in the order of the edge."""
        if self.pasted.credential.place is Place.SESSION:
            return [("shape", self._shape), ("session", self._session), ("request", self._request)]
        return [
            ("shape", self._shape),
            ("site", self._site),
            ("signature", self._verified),
            ("request", self._request),
        ]

    @property
    def _token(self) -> str:
        return self.pasted.credential.token

    @property
    def _authenticator(self) -> Authenticator:
        return self.addon.edge.authenticator

    async def _shape(self) -> AsyncIterator[Finding]:
        yield shape_of(self._token)

    async def _site(self) -> AsyncIterator[Finding]:
        record = await self._authenticator.active_tenant(peek(self._token).issuer)
        yield well("site", f"'{record.tenant.base_url}', {record.tenant.state}")

    async def _session(self) -> AsyncIterator[Finding]:
        page = self._authenticator.sessions.read(self._token, now=self._authenticator.now())
        yield well("session", f"ours, in date, for pages of the plugin '{page.plugin}'")
        record = await self._authenticator.active_tenant(page.client_key)
        yield well("site", f"'{record.tenant.base_url}', {record.tenant.state}")

    async def _verified(self) -> AsyncIterator[Finding]:
        authenticator = self._authenticator
        try:
            record, claims = await authenticator.verify_token(self.pasted.credential)
        except Refused as refused:
            for finding in stages_until(refused, STAGES[1:], await self._hint(refused)):
                yield finding
            return
        if claims.qsh == CONTEXT_QSH and self.pasted.request is None:
            # a bare one belongs into the header
            self.pasted = TokenInput(replace(self.pasted.credential, place=Place.HEADER))
        self._claims = claims
        yield well("signature", self._signer(record))
        yield times_of(claims, authenticator.now(), authenticator.leeway_s)
        yield audience_of(claims)

    def _signer(self, record: TenantRecord) -> str:
        """Which of its secrets the site signed with."""
        return (
            "made with the site's secret"
            if self._is_made_with(record.secret, record)
            else f"made with the site's former secret, which is taken until {utc(record.former_until)}"
        )

    def _is_made_with(self, secret: bytes, record: TenantRecord) -> bool:
        try:
            self._authenticator.verify_with_secret(self._token, secret, record)
        except SignatureInvalid:
            return False
        except TokenInvalid:
            return True
        return True

    async def _hint(self, refused: Refused) -> str:
        if stage_of(refused) != "signature":
            return clock_hint(refused, self._authenticator.now(), self._authenticator.leeway_s)
        if peek(self._token).algorithm == "RS256":
            return "'installed' and 'uninstalled' come with such tokens; look at it with --event"
        record = await self._authenticator.directory.get(peek(self._token).issuer)
        if record and record.former_secret and self._is_made_with(record.former_secret, record):
            until = utc(record.former_until)
            return f"it is made with the former one, which is taken until {until} and in a page's address alone"
        return REPLACED

    async def _request(self) -> AsyncIterator[Finding]:
        request = self.pasted.request
        if request is None:
            yield Finding("request", State.LEFT_OUT, "not known; name it with --request to see whether the token fits")
            yield well("token", "nothing is wrong with the token itself")
            return
        inbound = request.carrying(self.pasted.credential)
        if not inbound.is_unambiguous():
            yield Finding("request", State.WRONG, f"the path '{request.path}' is ambiguous and answered with 404")
            return
        try:
            context = await self._authenticator.authenticate(inbound, self.pasted.credential)
        except Refused as refused:
            why = f"; {self._mismatch(request)}" if stage_of(refused) == "request" else ""
            yield Finding("request", State.WRONG, f"{refused}{why}")
            return
        yield well("request", f"{request.method} {request.path} is the one that it was made for, proof {context.proof}")
        for finding in self._routed(request, context):
            yield finding

    def _mismatch(self, request: Request) -> str:
        base_url = self.addon.deployment.settings.addon.base_url
        qsh = self._claims.qsh if self._claims else None
        return explained(qsh, request, path_of(base_url), [*self._authenticator.host_parameters, *LIFECYCLE_PATHS])

    def _routed(self, request: Request, context: Context) -> list[Finding]:
        """Whether there is something at that path which takes such a proof."""
        try:
            endpoint, _ = self.addon.application.url_map.bind("addon").match(unquote(request.path), request.method)
        except NotFound:
            return [Finding("route", State.WRONG, f"no enabled plugin has the path '{request.path}'")]
        except MethodNotAllowed:
            return [Finding("route", State.WRONG, f"'{request.path}' does not take {request.method}")]
        route = self._route(str(endpoint))
        if route.demand is not Demand.NOTHING and context.proof not in ACCEPTED[route.demand]:
            return [Finding("route", State.WRONG, f"'{endpoint}' demands {route.demand}, was shown {context.proof}")]
        sold = self.addon.deployment.settings.addon.licensing
        return [
            well("route", f"'{endpoint}' of the plugin '{route.plugin}'"),
            *(_admission(route, context) if sold else []),
            _end(context),
        ]

    def _route(self, endpoint: str) -> Route:
        known = (route for one in self.addon.deployment.registry.contributions.values() for route in one.routes)
        return next(route for route in known if route.endpoint == endpoint)


def _admission(route: Route, context: Context) -> list[Finding]:
    if not route.licensed or context.licence is Licence.ACTIVE:
        return []
    said = f"the page wants a licence, and the site's is '{context.licence}'; what follows is for plugins to say"
    return [Finding("licence", State.WARN, said)]


def _end(context: Context) -> Finding:
    objects = "".join(f", {name} '{value}'" for name, value in context.objects.items())
    return well(
        "token",
        f"accepted: site '{context.tenant.base_url}' ({context.tenant.client_key}), account "
        f"'{context.account_id or 'anonymous'}', licence {context.licence}, proof {context.proof}{objects}",
    )
