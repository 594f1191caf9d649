"""Tokens of the host's lifecycle calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from addonkit.app.addon import Addon
from addonkit.check.qsh_explain import explained
from addonkit.check.result import Finding, State
from addonkit.check.token_input import Request, TokenInput
from addonkit.check.token_stages import STAGES, Step, audience_of, clock_hint, shape_of, stages_until, times_of, well
from addonkit.edge.credentials import Place
from addonkit.edge.lifecycle import HOST_SIGNED_EVENTS, LIFECYCLE_PATHS, Lifecycle, check_algorithm
from addonkit.errors import Refused
from addonkit.protocol.tokens import Claims, peek
from addonkit.protocol.urls import path_of
from addonkit.tenancy.record import TokenUse


@dataclass(slots=True)
class LifecycleToken:
    """One token of ``installed``, ``uninstalled``, ``enabled`` or ``disabled``.

    Attributes:
        addon: Not started; its database is open.
        pasted: The token; without a request, the plain one of the event.
        event: Which call.
        offline: Whether key hosts are not asked.
    """

    addon: Addon
    pasted: TokenInput
    event: str
    offline: bool = False
    _claims: Claims | None = field(default=None, repr=False)
    _use: TokenUse | None = field(default=None, repr=False)

    def steps(self) -> list[Step]:
        """What is looked at, in the order of the edge."""
        return [
            ("shape", self._shape),
            ("key", self._key),
            ("signature", self._verified),
            ("request", self._proven),
            ("use", self._unspent),
        ]

    @property
    def _lifecycle(self) -> Lifecycle:
        return self.addon.edge.lifecycle

    @property
    def _token(self) -> str:
        return self.pasted.credential.token

    async def _shape(self) -> AsyncIterator[Finding]:
        found = shape_of(self._token)
        check_algorithm(self.event, peek(self._token))
        yield found

    async def _key(self) -> AsyncIterator[Finding]:
        """By whose key it is to be verified."""
        if self.event not in HOST_SIGNED_EVENTS:
            return
        kid = peek(self._token).key_id
        if self.offline:
            yield Finding("key", State.WRONG, f"the key '{kid}' is asked of the key hosts; leave --offline away")
            return
        await self._lifecycle.install_keys.get(kid)
        yield well("key", f"'{kid}' is known at a key host")

    async def _verified(self) -> AsyncIterator[Finding]:
        now, leeway_s = self._lifecycle.now(), self.addon.deployment.settings.host.clock_leeway_s
        try:
            claims = await self._lifecycle.verify_token(self.event, self._token)
        except Refused as refused:
            stages = STAGES[1:] if self.event in HOST_SIGNED_EVENTS else STAGES
            for finding in stages_until(refused, stages, clock_hint(refused, now, leeway_s)):
                yield finding
            return
        yield well("signature", f"made with the {'host' if self.event in HOST_SIGNED_EVENTS else 'site'}'s key")
        yield times_of(claims, now, leeway_s)
        yield audience_of(claims)
        self._claims = claims

    async def _proven(self) -> AsyncIterator[Finding]:
        request = self.pasted.request or Request("POST", f"/lifecycle/{self.event}", "")
        credential = replace(self.pasted.credential, place=Place.HEADER)
        try:
            self._use, _ = await self._lifecycle.authenticate(self.event, request.carrying(credential))
        except Refused as refused:
            yield Finding("request", State.WRONG, f"{refused}; {self._mismatch(request)}")
            return
        yield well("request", f"{request.method} {request.path} is the one that it was made for")

    async def _unspent(self) -> AsyncIterator[Finding]:
        site = peek(self._token).issuer
        if self._use is not None:
            await self._lifecycle.store.refuse_spent(site, self._use, dated=self.event in HOST_SIGNED_EVENTS)
        yield well("use", "not used yet, and not by this either")
        yield well("token", f"accepted: '{self.event}' of the site '{site}'; its body was not looked at")

    def _mismatch(self, request: Request) -> str:
        base_url = self.addon.deployment.settings.addon.base_url
        return explained(
            self._claims.qsh if self._claims else None,
            request,
            path_of(base_url),
            [*LIFECYCLE_PATHS, *self.addon.edge.authenticator.host_parameters],
        )
