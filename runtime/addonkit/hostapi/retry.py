"""One call under way: signed, sent, sent on within its site, and sent again until its time is over."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from addonkit.calling import Caller
from addonkit.context import Tenant
from addonkit.errors import CallForbidden, HostError, HostUnavailable, RateLimited
from addonkit.hostapi.call import HostCall, RequestUrl, redirected
from addonkit.hostapi.rate_limit import UNREACHED_S, back_off_s, retry_after_s
from addonkit.hostapi.transport import RawResponse
from addonkit.log import structlog
from addonkit.tenancy.record import TenantRecord

if TYPE_CHECKING:
    from addonkit.hostapi.client import HostClients

ATTEMPTS = 4
REDIRECTS = 5
BUSY = frozenset({429, 502, 503, 504})
"""Answers that say: not now."""

log = structlog.get_logger(__name__)


class Sending:
    """One call under way.

    Args:
        clients: Of this process.
        tenant: The site.
        call: What is sent.
        who: In whose name.
        until: When its time is over, by the monotonic clock.

    Attributes:
        sent: How often it was sent.
    """

    def __init__(self, clients: HostClients, tenant: Tenant, call: HostCall, who: Caller, until: float) -> None:
        self.sent = 0
        self._clients, self._tenant, self._call, self._who, self._until = clients, tenant, call, who, until
        self._budget = clients.limits.of(tenant.id)
        self._renewed = self._on_wire = False

    async def received(self) -> RawResponse:
        """The last answer.

        Raises:
            HostDown: There was none in time.
            HostLimited: Its turn would not have come in time.
        """
        limits, site = self._clients.limits, self._tenant.base_url
        if limits.is_unreached(site):
            raise HostUnavailable(
                f"'{site}' took no connection within the last {UNREACHED_S:g} s, so '{self._call.said}' was not sent; "
                "try again later",
                sent=False,
                retry_after_s=UNREACHED_S,
            )
        bound = asyncio.timeout_at(asyncio.get_running_loop().time() + self._left_s())
        try:
            async with bound:
                return await self._tried()
        except TimeoutError:
            if not bound.expired():
                raise
            if self._budget.is_short() and not self._on_wire:
                raise self._limited(self._budget.pause_s(self._who.in_background)) from None
            raise HostUnavailable(
                f"'{site}' gave no whole answer to '{self._call.said}' in the time that the call has; raise "
                "deadline_s or try again later",
                sent=self.sent > 0,
            ) from None

    async def _tried(self) -> RawResponse:
        for attempt in range(1, ATTEMPTS + 1):
            last, self._on_wire = attempt == ATTEMPTS, False
            try:
                received = await self._followed()
            except HostUnavailable as down:
                # where nothing was on its way to the site, it was the token server that took no connection
                if self._on_wire and not down.sent and attempt > 1:
                    self._clients.limits.note_reached(self._tenant.base_url, False)
                pause = back_off_s(attempt)
                if last or (down.sent and not self._call.idempotent) or pause >= self._left_s():
                    raise
                await asyncio.sleep(pause)
                continue
            asked_for = self._noted(received)
            if received.status not in BUSY or last or not self._call.idempotent:
                return received
            pause = asked_for or back_off_s(attempt)
            if pause >= self._left_s():
                return received
            if not asked_for:  # what the site asks for is waited for with all its other calls
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def _left_s(self) -> float:
        return self._until - time.monotonic()

    async def _wait_for_budget(self) -> None:
        while (pause := self._budget.pause_s(self._who.in_background)) > 0:
            if pause >= self._left_s():
                raise self._limited(pause)
            # scattered, so that not all of the site's calls come back at one moment
            most = min(1.0, pause / 4, (self._left_s() - pause) / 2)
            await asyncio.sleep(pause + random.uniform(0, max(0.0, most)))  # noqa: S311 - nothing secret about it

    def _limited(self, pause: float) -> RateLimited:
        why = f" ({self._budget.reason})" if self._budget.reason else ""
        what = f"takes no call for another {pause:.0f} s" if pause >= 1 else "takes one call at a time just now"
        return RateLimited(
            f"'{self._tenant.base_url}' {what}{why}, so '{self._call.said}' did not have its turn; try again then",
            status=429,
            retry_after_s=max(pause, 1.0),
        )

    def _noted(self, received: RawResponse) -> float:
        """What an answer says of the budget; gives how long the site asks to be left alone, in seconds."""
        now = time.time()
        self._budget.note(received.headers, now)
        if received.status not in (429, 503):
            self._budget.served()
            return 0.0
        pause = retry_after_s(received.headers, now, limited=received.status == 429)
        if pause is None and received.status == 429:
            pause = back_off_s(self.sent)
        if pause:
            reason = received.headers.get("ratelimit-reason", "")[:80]
            if self._budget.pause(pause, reason):
                said = {"reason": reason} if reason else {}
                log.warning("host.limited", status=received.status, seconds=round(pause, 1), **said)
        return pause or 0.0

    async def _followed(self) -> RawResponse:
        """The answer, after redirects within the site, each signed anew."""
        call = self._call
        for _ in range(REDIRECTS + 1):
            received = await self._in_turn(call)
            location = received.headers.get("location")
            if received.status not in (301, 302, 303, 307, 308) or not location:
                return received
            if call.method not in ("GET", "HEAD"):
                return received
            call = replace(call, target=self._sent_on(call, received.status, location))
            self._clients.clear(self._tenant, call, self._who)
        raise HostError(
            f"'{self._tenant.base_url}' redirected '{self._call.said}' over {REDIRECTS} times; ask for something else",
            status=received.status,
        )

    def _sent_on(self, call: HostCall, status: int, location: str) -> RequestUrl:
        try:
            return redirected(self._tenant.base_url, call.target, location)
        except CallForbidden as elsewhere:
            raise HostError(
                f"'{self._tenant.base_url}' answered {status} to '{call.said}', a redirect that is not followed: "
                f"{elsewhere}",
                status=status,
            ) from None

    async def _in_turn(self, call: HostCall) -> RawResponse:
        while True:
            await self._wait_for_budget()
            async with self._clients.limits.turn(self._budget, self._who.in_background):
                # while it waited for its turn, another call may have been told to stop
                if not self._budget.pause_s(self._who.in_background):
                    return await self._signed(call)

    async def _signed(self, call: HostCall) -> RawResponse:
        """Signed and sent; once more if the secret or the user's token turns out to be an old one."""
        record = await self._clients.record_of(self._tenant)
        received = await self._sent(record, call)
        if received.status != 401 or self._renewed or not call.signed:
            return received
        fresh = await self._clients.record_of(self._tenant, fresh=True)
        if call.acting is None and fresh.secret == record.secret:
            return received
        return await self._sent(fresh, call, again=True)

    async def _sent(self, record: TenantRecord, call: HostCall, *, again: bool = False) -> RawResponse:
        self._on_wire = False
        authorization = await self._clients.authorization(record, call, self._who, again=again)
        self._renewed = self._renewed or again
        self.sent += 1
        self._on_wire = True
        received = await self._clients.send(authorization, call)
        self._on_wire = False
        self._clients.limits.note_reached(self._tenant.base_url, True)
        return received
