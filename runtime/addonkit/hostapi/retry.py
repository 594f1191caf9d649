"""Sends a host call: waits for the site's rate budget, and retries with exponential back-off.

Redirects within the site are followed here as well, each as a separate request.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

from addonkit.backoff import backoff_s
from addonkit.current import Work
from addonkit.errors import CallForbidden, HostError, HostUnavailable, RateLimited
from addonkit.hostapi.call import CallProgress, HostCall, build_redirect_url
from addonkit.hostapi.pauses import pause_key
from addonkit.hostapi.rate_limit import MAX_PAUSE_S, UNREACHABLE_S, RateLimits, retry_after_s
from addonkit.hostapi.transport import RawResponse
from addonkit.log import structlog

MAX_ATTEMPTS = 4
MAX_REDIRECTS = 5
FIRST_BACKOFF_S = 0.5
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

Transmit = Callable[[HostCall, str, CallProgress], Awaitable[RawResponse]]
"""Signs and sends a call once, in the name of a plugin."""
CheckScope = Callable[[str, HostCall], None]
"""Raises ``ScopeMissing`` if a plugin lacks the scope for a call."""

_AT_ONCE = nullcontext()
"""The turn of a call that no pause covers."""

log = structlog.get_logger(__name__)


class _CurrentPause(NamedTuple):
    """The pause that a call waits for.

    Attributes:
        seconds: How much of it is left.
        reason: The host's name for the reason.
        what: What is paused, for messages; empty for the whole site.
    """

    seconds: float
    reason: str
    what: str = ""


async def send(
    call: HostCall,
    who: Work,
    limits: RateLimits,
    transmit: Transmit,
    *,
    check_scope: CheckScope,
    deadline: float,
    progress: CallProgress,
) -> RawResponse:
    """Send a call, with retries, until there is a final response or the deadline is reached.

    Args:
        call: The call.
        who: The plugin that makes it.
        limits: The rate limits of this process.
        transmit: Sends the call once.
        check_scope: Checks the call that a redirect leads to.
        deadline: Latest time of the response, by the monotonic clock.
        progress: Updated by ``transmit``.

    Returns:
        The final response, with any status.

    Raises:
        HostUnavailable: There was no complete response in time.
        RateLimited: The site's rate budget would not have admitted the call in time.
        HostError: The call was redirected off the site or too often.
    """
    site = call.tenant.base_url
    if limits.is_unreachable(site):
        raise HostUnavailable(
            f"'{site}' accepted no connection within the last {UNREACHABLE_S:g} s, so '{call.label}' was not sent; "
            "try again later",
            sent=False,
            retry_after_s=UNREACHABLE_S,
        )
    attempts = _Attempts(call, who, limits, transmit, check_scope, deadline, progress)
    timeout = asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic())
    try:
        async with timeout:
            return await attempts.run()
    except TimeoutError:
        if not timeout.expired():
            raise
        raise attempts.timeout_error() from None


class _Attempts:
    """The attempts of one call; see :func:`send`."""

    def __init__(
        self,
        call: HostCall,
        who: Work,
        limits: RateLimits,
        transmit: Transmit,
        check_scope: CheckScope,
        deadline: float,
        progress: CallProgress,
    ) -> None:
        self._call, self._who, self._progress, self._deadline = call, who, progress, deadline
        self._limits, self._budget = limits, limits.of(call.tenant.id)
        self._transmit, self._check_scope = transmit, check_scope
        self._site, self._requested_s = call.tenant.base_url, 0.0

    async def run(self) -> RawResponse:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            is_last, self._progress.in_flight = attempt == MAX_ATTEMPTS, False
            try:
                response = await self._follow_redirects()
            except HostUnavailable as error:
                # If no request is in flight, it was the token server that could not be reached, not the site.
                if self._progress.in_flight and not error.sent and attempt > 1:
                    self._limits.mark_unreachable(self._site)
                pause_s = _backoff_s(attempt)
                if is_last or (error.sent and not self._call.idempotent) or pause_s >= self._left_s():
                    raise
                await asyncio.sleep(pause_s)
                continue
            requested_s = self._requested_s
            if response.status not in RETRIED_STATUSES or is_last or not self._call.idempotent:
                return response
            pause_s = requested_s or _backoff_s(attempt)
            if pause_s >= self._left_s():
                return response
            if not requested_s:  # a pause that the site requests is in its budget, and _wait_for_budget waits for it
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    def timeout_error(self) -> HostError:
        """Return the error for a call at its deadline: ``RateLimited`` if it waited for the rate budget."""
        parts = self._budget.pauses.covering(self._call)
        if (self._budget.is_throttled() or parts) and not self._progress.in_flight:
            what = "" if self._budget.is_throttled() else f" for {parts[0][0]}"
            reason = parts[0][1].reason if what else self._budget.reason
            return self._rate_limited(self._call, self._pause_of(self._call) or _CurrentPause(0.0, reason, what))
        return HostUnavailable(
            f"'{self._site}' gave no complete response to '{self._call.label}' within the call's deadline; raise "
            "deadline_s or try again later",
            sent=self._progress.requests > 0,
        )

    async def _follow_redirects(self) -> RawResponse:
        """Send the call and follow redirects within the site; each hop is checked, admitted and signed again."""
        call = self._call
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._admit_and_transmit(call)
            if response.status not in REDIRECT_STATUSES or call.method not in ("GET", "HEAD"):
                return response
            location = response.headers.get("location")
            if not location:
                return response
            try:
                call = replace(call, url=build_redirect_url(self._site, call.url, location))
            except CallForbidden as error:
                if call.streamed:
                    return response
                raise self._not_followed(call, response.status, error) from None
            self._check_scope(self._who.plugin, call)
        raise HostError(
            f"'{self._site}' redirected '{self._call.label}' more than {MAX_REDIRECTS} times; request another resource",
            status=response.status,
        )

    def _not_followed(self, call: HostCall, status: int, error: CallForbidden) -> HostError:
        return HostError(
            f"'{self._site}' answered {status} to '{call.label}' with a redirect that is not followed: {error}; for a "
            "file, use host.download()",
            status=status,
        )

    async def _admit_and_transmit(self, call: HostCall) -> RawResponse:
        background, pauses = self._who.background, self._budget.pauses
        while True:
            await self._wait_for_budget(call)
            async with (
                pauses.turn(call, background) if pauses else _AT_ONCE,
                self._limits.slot(self._budget, background),
            ):
                # The site may have been paused while this call waited for its slot.
                if self._pause_of(call) is None:
                    response = await self._transmit(call, self._who.plugin, self._progress)
                    self._limits.mark_reachable(self._site)
                    self._requested_s = self._update_budget(call, response)
                    return response

    async def _wait_for_budget(self, call: HostCall) -> None:
        while (pause := self._pause_of(call)) is not None:
            if pause.seconds >= self._left_s():
                raise self._rate_limited(call, pause)
            # Jitter, so that the waiting calls of a site are not all sent at the same time.
            jitter_s = max(0.0, min(1.0, pause.seconds / 4, (self._left_s() - pause.seconds) / 2))
            await asyncio.sleep(pause.seconds + random.uniform(0, jitter_s))  # noqa: S311 - not a secret

    def _pause_of(self, call: HostCall) -> _CurrentPause | None:
        """Return the pause that keeps a call from being sent, of the site or of a part of it; None if there is none."""
        budget = self._budget
        site_s = budget.pause_s(self._who.background)
        for key, part in budget.pauses.covering(call):
            if (part_s := part.left_s()) > site_s:
                return _CurrentPause(part_s, part.reason, f" for {key}")
        return _CurrentPause(site_s, budget.reason) if site_s > 0 else None

    def _update_budget(self, call: HostCall, response: RawResponse) -> float:
        """Update the site's budget from a response; return the pause that the host requests, in seconds."""
        now, is_limited = time.time(), response.status == 429
        if not is_limited and response.status != 503:
            if call.acting is None and call.signed:  # others have budgets of their own
                self._budget.update(response.headers, now)
            self._budget.restore()
            self._budget.pauses.end(call)
            return 0.0
        pause_s = retry_after_s(response.headers, now, limited=is_limited)
        if pause_s is None and is_limited:
            pause_s = _backoff_s(self._progress.requests)
        reason = response.headers.get("ratelimit-reason", "")[:80]
        key = pause_key(call, reason) if is_limited else None
        if key is None:
            self._budget.update(response.headers, now)
        if pause_s:
            pauses = self._budget.pauses
            is_new = self._budget.pause(pause_s, reason) if key is None else pauses.start(key, pause_s, reason)
            if is_new:
                details = {"reason": reason} if reason else {}
                paused = "site" if key is None else str(key.kind)
                log.warning(
                    "host.rate_limited", status=response.status, seconds=round(pause_s, 1), paused=paused, **details
                )
        return pause_s or 0.0

    def _rate_limited(self, call: HostCall, pause: _CurrentPause) -> RateLimited:
        reason = f" ({pause.reason})" if pause.reason else ""
        state = f"is paused{pause.what} for another {pause.seconds:.0f} s"
        if pause.seconds < 1:
            state = f"is limited to one request at a time{pause.what}"
        return RateLimited(
            f"'{self._site}' {state} by its rate limit{reason}, so '{call.label}' was not admitted; try again later",
            status=429,
            retry_after_s=max(pause.seconds, 1.0),
        )

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()


def _backoff_s(failures: int) -> float:
    return backoff_s(failures, first_s=FIRST_BACKOFF_S, longest_s=MAX_PAUSE_S)
