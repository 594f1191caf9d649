"""Rate limits of host calls: a budget per site, with its pauses, and limits on the number of concurrent requests.

A call waits here before it takes a connection: calls to a throttled site hold no connection that another site needs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cachetools import TTLCache

from addonkit.hostapi.pauses import Pauses
from addonkit.hostapi.priority_semaphore import MAX_CONCURRENT, PrioritySemaphore
from addonkit.hostapi.transport import MAX_CONNECTIONS

MAX_CONCURRENT_BACKGROUND = 6
MAX_BACKGROUND_TOTAL = MAX_CONNECTIONS // 2
"""Maximum number of concurrent requests of jobs, over all sites: the other connections are kept for pages."""
MAX_PAUSE_S = 3600.0
MAX_BACKGROUND_PAUSE_S = 60.0
MAX_BUDGETS = 4096
UNREACHABLE_S = 5.0
"""Seconds for which no request is sent to a site that accepted no connection."""
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")


class RateBudget:
    """The rate budget of one site, as far as its responses report it.

    Attributes:
        semaphore: Limits the site's concurrent requests.
        background: Limits the site's concurrent requests of jobs.
        reason: Why the site is paused, as the host names it.
        pauses: The pauses of parts of the site.
    """

    def __init__(self) -> None:
        self.semaphore = PrioritySemaphore()
        self.background = asyncio.Semaphore(MAX_CONCURRENT_BACKGROUND)
        self.reason = ""
        self.pauses = Pauses()
        self._paused_until = self._background_paused_until = 0.0

    def pause_s(self, background: bool) -> float:
        """How long a request has to wait, in seconds."""
        until = max(self._paused_until, self._background_paused_until) if background else self._paused_until
        return max(0.0, until - time.monotonic())

    def pause(self, seconds: float, reason: str) -> bool:
        """Pause the site; afterwards admit one request at a time until one succeeds.

        Args:
            seconds: Length of the pause; more than an hour counts as an hour.
            reason: The host's name for the reason.

        Returns:
            Whether the site was not throttled before.
        """
        is_new = not self.is_throttled()
        self.reason = reason
        self._paused_until = max(self._paused_until, time.monotonic() + min(seconds, MAX_PAUSE_S))
        self.semaphore.set_limit(1)
        return is_new

    def restore(self) -> None:
        """Lift the limit of one request at a time, after the site has served a request."""
        # During a pause, only requests that were sent before it complete; they do not show that it is over.
        if self.is_throttled() and not self.pause_s(False):
            self.semaphore.set_limit(MAX_CONCURRENT)

    def is_throttled(self) -> bool:
        """Whether the site has been paused and has served no request since."""
        return self.semaphore.limit < MAX_CONCURRENT

    def update(self, headers: Mapping[str, str], now: float) -> None:
        """Read the budget from a response; when little is left, pause jobs until it is renewed, at most a minute.

        Args:
            headers: Headers of the response, by lower-case name.
            now: Unix time.

        Source: ``X-RateLimit-Remaining``, ``X-RateLimit-NearLimit``, ``X-RateLimit-Reset`` (ISO 8601).
        """
        if headers.get("x-ratelimit-nearlimit", "").lower() != "true" and headers.get("x-ratelimit-remaining") != "0":
            return
        left_s = _seconds_until(headers.get("x-ratelimit-reset", ""), now)
        if left_s is not None:
            pause_s = min(max(left_s, 0.0), MAX_BACKGROUND_PAUSE_S)
            self._background_paused_until = max(self._background_paused_until, time.monotonic() + pause_s)

    def is_unused(self) -> bool:
        """Whether nothing waits, runs or is paused, so that the budget can be dropped."""
        is_idle = self.semaphore.is_idle() and not self.background.locked()
        return is_idle and not self.pause_s(True) and not self.pauses.is_active()


class RateLimits:
    """The rate budgets of all sites of this process, and the connections that jobs may take together."""

    def __init__(self) -> None:
        self._budgets: dict[int, RateBudget] = {}
        self._unreachable: TTLCache[str, bool] = TTLCache(MAX_BUDGETS, UNREACHABLE_S)
        self._background = asyncio.Semaphore(MAX_BACKGROUND_TOTAL)

    def of(self, tenant_id: int) -> RateBudget:
        """Return the budget of a site."""
        if (found := self._budgets.get(tenant_id)) is not None:
            return found
        if len(self._budgets) >= MAX_BUDGETS:
            self._budgets = {key: each for key, each in self._budgets.items() if not each.is_unused()}
        self._budgets[tenant_id] = budget = RateBudget()
        return budget

    def mark_reachable(self, base_url: str) -> None:
        """Record that a site has answered."""
        self._unreachable.pop(base_url, None)

    def mark_unreachable(self, base_url: str) -> None:
        """Record that a site has accepted no connection in several attempts."""
        self._unreachable[base_url] = True

    def is_unreachable(self, base_url: str) -> bool:
        """Whether the site accepted no connection in the last ``UNREACHABLE_S``; calls then fail without waiting."""
        return base_url in self._unreachable

    @asynccontextmanager
    async def slot(self, budget: RateBudget, background: bool) -> AsyncIterator[None]:
        """Wait for a slot of the site and hold it for the block.

        A job waits for the two limits on jobs, of the site and of the process, before it takes a slot of the site.
        """
        if not background:
            async with budget.semaphore.slot(False):
                yield
            return
        async with budget.background, self._background, budget.semaphore.slot(True):
            yield


def retry_after_s(headers: Mapping[str, str], now: float, *, limited: bool = True) -> float | None:
    """Read ``Retry-After``, in seconds from now, at most an hour; None if it is missing or unreadable.

    Args:
        headers: Headers of the response, by lower-case name.
        now: Unix time.
        limited: Whether the response reports an exhausted budget (429); then ``X-RateLimit-Reset`` is the fallback.
    """
    value = headers.get("retry-after", "").strip()
    left_s = float(value[:18]) if _SECONDS.fullmatch(value) else _seconds_until_date(value, now)
    if left_s is None and limited:
        left_s = _seconds_until(headers.get("x-ratelimit-reset", ""), now)
    return None if left_s is None else min(max(0.0, left_s), MAX_PAUSE_S)


def _seconds_until_date(date: str, now: float) -> float | None:
    """Return the seconds until a date in HTTP's format, or in ISO 8601; without a zone, it is UTC."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return _seconds_until(date, now)
    return _until(moment, now)


def _seconds_until(iso_time: str, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(iso_time.strip())
    except ValueError:
        return None
    return _until(moment, now)


def _until(moment: datetime, now: float) -> float | None:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except OverflowError:
        return None
