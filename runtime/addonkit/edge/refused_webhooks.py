"""Webhooks that were refused for a fault of ours: counted, and remembered for the hook ``addon_missed``.

Confluence does not repeat a webhook, Jira does for about half an hour. Only sites whose token was verified are
remembered. If the database is needed for that and does not answer, the token is verified when it answers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from addonkit.backoff import backoff_s
from addonkit.context import Product, Tenant
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Credential, find_credential
from addonkit.edge.refusal_file import RefusalFile
from addonkit.edge.request import InboundRequest
from addonkit.errors import AddonkitError, Refused, StorageUnavailable, TokenInvalid, VaultLocked
from addonkit.jobs.missed import record_missed
from addonkit.log import structlog
from addonkit.protocol.tokens import peek

RECORD_S = 1.0
"""Seconds for which refusals are collected before they are recorded."""
MAX_PAUSE_S = 10.0
LAST_TRY_S = 3.0
MAX_UNVERIFIED = 1000
"""Most sites whose token cannot be verified yet."""
UNKNOWN = "unknown"
"""The product of a site that is not verified, in the metric."""
AUTHORIZATION = b"authorization"

log = structlog.get_logger()


class Unverified(NamedTuple):
    """A refused webhook whose token is still to be verified.

    Attributes:
        request: The request, without its body and its other headers.
        credential: Its token.
        at: When it was refused, Unix time in seconds.
    """

    request: InboundRequest
    credential: Credential
    at: float


@dataclass(slots=True, kw_only=True)
class RefusedWebhooks:
    """What is known of refused webhooks in one process.

    Attributes:
        authenticator: Verifies tokens.
        plugins: The plugins that implement ``addon_missed``; without any, refusals are only counted.
        file: Keeps the sites across a restart.
        count: Called with the product of each refused webhook.
    """

    authenticator: Authenticator
    plugins: Collection[str]
    file: RefusalFile
    count: Callable[[str], None]
    _sites: dict[int, float] = field(default_factory=dict, init=False)
    _unverified: dict[str, Unverified] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_full: bool = field(default=False, init=False)

    def note(self, request: InboundRequest, tenant: Tenant | None, problem: Exception) -> None:
        """Count and remember one webhook, unless it was refused for a fault of its sender.

        Args:
            request: The request.
            tenant: The site, if its token was verified.
            problem: Why the webhook was not stored.
        """
        if not is_ours(problem):
            return
        tenant = tenant or self._recognised(request)
        self.count(tenant.product if tenant else UNKNOWN)
        if not self.plugins:
            return
        now = self.authenticator.now()
        if tenant is None:
            self._keep_unverified(request, now)
        else:
            self._remember(tenant.id, tenant.product, now)

    async def run(self) -> None:
        """Record refused webhooks in the database whenever it answers, until cancelled."""
        if not self.plugins:
            return
        for number, since in self.file.adopt().items():
            self._sites[number] = min(since, self._sites.get(number, since))
        failures = 0
        while True:
            if not self._sites and not self._unverified:
                await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(RECORD_S + backoff_s(failures, first_s=RECORD_S, longest_s=MAX_PAUSE_S))
            try:
                await self.record()
                failures = 0
            except (StorageUnavailable, VaultLocked):
                failures += 1

    async def record(self) -> None:
        """Verify what is not verified yet, and enqueue the jobs for the plugins.

        Raises:
            StorageUnavailable: The database did not answer; everything is kept.
        """
        await self._verify()
        self._is_full = False
        recorded = dict(self._sites)
        if recorded:
            await record_missed(recorded, self.plugins)
        self._sites = {number: since for number, since in self._sites.items() if recorded.get(number) != since}
        self.file.clear()
        for number, since in self._sites.items():
            self.file.append(number, since)

    async def close(self) -> None:
        """Record what is left if the database answers in time; otherwise the file keeps it for the next process."""
        try:
            if self._sites or self._unverified:
                async with asyncio.timeout(LAST_TRY_S):
                    await self.record()
        except (AddonkitError, TimeoutError) as problem:
            log.warning("webhooks.missed_unrecorded", reason=str(problem) or "the database did not answer in time")
        finally:
            self.file.close()

    def _remember(self, tenant_id: int, product: Product, at: float) -> None:
        if product != "confluence" or self._sites.get(tenant_id, at) < at:
            return
        self._sites[tenant_id] = at
        self.file.append(tenant_id, at)
        self._changed.set()

    def _recognised(self, request: InboundRequest) -> Tenant | None:
        """Return the site that signed a request, by what was last known of it; None if that does not verify it."""
        try:
            credential = find_credential(request.query, request.headers)
            return self.authenticator.recognised(request, credential) if credential else None
        except TokenInvalid:
            return None

    def _keep_unverified(self, request: InboundRequest, at: float) -> None:
        credential = find_credential(request.query, request.headers)
        if credential is None:
            return
        name = peek(credential.token).issuer
        if name in self._unverified:
            return
        if len(self._unverified) >= MAX_UNVERIFIED:
            if not self._is_full:
                log.warning("webhooks.missed_unrecorded", reason=f"{MAX_UNVERIFIED} sites wait to be verified already")
            self._is_full = True
            return
        headers = [(key, value) for key, value in request.headers if key == AUTHORIZATION]
        self._unverified[name] = Unverified(replace(request, headers=headers), credential, at)
        self._changed.set()

    async def _verify(self) -> None:
        """Verify the tokens of webhooks that were refused while the database did not answer, as of that time."""
        for name, one in list(self._unverified.items()):
            with suppress(Refused):
                context = await self._authenticator_at(one.at).authenticate(one.request, one.credential)
                self._remember(context.tenant.id, context.tenant.product, one.at)
            del self._unverified[name]

    def _authenticator_at(self, at: float) -> Authenticator:
        return replace(self.authenticator, now=lambda: at)


def is_ours(problem: Exception) -> bool:
    """Return whether a webhook was not stored for a fault of ours: the database, the queue, or the time to read it."""
    return not isinstance(problem, Refused) or problem.status in (408, 503)
