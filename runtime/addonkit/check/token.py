"""Explains why a token is refused: runs the edge's own verification stage by stage, up to the first that fails.

The token is not marked as used, and nothing is stored. Neither the token nor its signature is ever part of a result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.app.migrate import refuse_pending
from addonkit.check.context import Result, ok, wrong
from addonkit.check.page_token import PageTokenCheck
from addonkit.check.token_input import Request, TokenInput
from addonkit.check.token_stages import (
    STAGES,
    Stage,
    TokenCheck,
    clock_hint,
    describe_audience,
    describe_shape,
    describe_times,
    run_stages,
    stages_until,
)
from addonkit.edge.credentials import Place
from addonkit.edge.lifecycle import HOST_SIGNED_EVENTS, LIFECYCLE_PATHS, Lifecycle, check_algorithm
from addonkit.errors import Refused, SettingsInvalid
from addonkit.protocol.tokens import peek
from addonkit.tenancy.record import TokenUse


async def explain_token(
    deployment: Deployment, given: TokenInput, event: str | None = None, *, offline: bool = False
) -> AsyncIterator[Result]:
    """Verify a token as the edge would, and yield the result of each stage; the last one is the verdict.

    Args:
        deployment: The deployment that refuses the token.
        given: The token, and the request if it is known.
        event: The lifecycle request that it came with; by default the one at the request's path, if any.
        offline: Whether to send no requests to key hosts; ``installed`` and ``uninstalled`` then stop at that stage.

    Raises:
        SettingsInvalid: A migration is pending, or there is no encryption key yet.
    """
    if deployment.will_make_key():
        raise SettingsInvalid("there is no encryption key yet, so no site has installed; start the add-on first")
    deployment.location.check_usable()
    refuse_pending(deployment)
    addon = Addon(deployment)
    try:
        async with addon.database():
            async for result in explain_with(addon, given, event, offline=offline):
                yield result
    finally:
        await addon.edge.lifecycle.install_keys.close()


def explain_with(
    addon: Addon, given: TokenInput, event: str | None = None, *, offline: bool = False
) -> AsyncIterator[Result]:
    """Like ``explain_token``, with an add-on whose database is open."""
    event = event or (LIFECYCLE_PATHS.get(given.request.path) if given.request else None)
    check = LifecycleTokenCheck(addon, given, event, offline) if event else PageTokenCheck(addon, given)
    return run_stages(check.stages())


@dataclass(slots=True)
class LifecycleTokenCheck(TokenCheck):
    """Checks a token of ``installed``, ``uninstalled``, ``enabled`` or ``disabled``.

    Attributes:
        event: The event. If ``given`` has no request, the usual request of this event is assumed.
        offline: Whether to send no requests to key hosts.
    """

    event: str
    offline: bool = False
    _use: TokenUse | None = field(default=None, init=False, repr=False)

    def stages(self) -> list[Stage]:
        """The stages in the order in which the edge verifies them."""
        return [
            ("shape", self._shape),
            ("key", self._key),
            ("signature", self._signature),
            ("request", self._request),
            ("replay", self._replay),
        ]

    @property
    def _lifecycle(self) -> Lifecycle:
        return self.addon.edge.lifecycle

    async def _shape(self) -> AsyncIterator[Result]:
        result = describe_shape(self.token)
        check_algorithm(self.event, peek(self.token))
        yield result

    async def _key(self) -> AsyncIterator[Result]:
        """Fetch the install key that the token names."""
        if self.event not in HOST_SIGNED_EVENTS:
            return
        key_id = peek(self.token).key_id
        if self.offline:
            yield wrong(f"key '{key_id}' must be fetched from the install-key host; run without --offline", "key")
            return
        await self._lifecycle.install_keys.get(key_id)
        yield ok(f"'{key_id}' exists at a key host", "key")

    async def _signature(self) -> AsyncIterator[Result]:
        now, leeway_s = self._lifecycle.now(), self.addon.deployment.settings.host.clock_leeway_s
        try:
            claims = await self._lifecycle.verify_token(self.event, self.token)
        except Refused as refused:
            stages = STAGES[1:] if self.event in HOST_SIGNED_EVENTS else STAGES
            for result in stages_until(refused, stages, clock_hint(refused, now, leeway_s)):
                yield result
            return
        signer = "host's key" if self.event in HOST_SIGNED_EVENTS else "site's secret"
        yield ok(f"made with the {signer}", "signature")
        yield describe_times(claims, now, leeway_s)
        yield describe_audience(claims)
        self.claims = claims

    async def _request(self) -> AsyncIterator[Result]:
        request = self.given.request or Request("POST", f"/lifecycle/{self.event}", "")
        credential = self.given.credential._replace(place=Place.HEADER)
        try:
            self._use, _ = await self._lifecycle.authenticate(self.event, request.with_credential(credential))
        except Refused as refused:
            yield wrong(f"{refused}; {self.mismatch(request)}", "request")
            return
        yield ok(f"the token is for {request.method} {request.path}", "request")

    async def _replay(self) -> AsyncIterator[Result]:
        site = peek(self.token).issuer
        if self._use is not None:
            await self._lifecycle.store.check_replay(site, self._use, dated=self.event in HOST_SIGNED_EVENTS)
        yield ok("token not used yet (this check does not consume it)", "replay")
        yield ok(f"accepted: '{self.event}' of the site '{site}'; the body was not checked", "token")
