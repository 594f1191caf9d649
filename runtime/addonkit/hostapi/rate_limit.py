"""Turns and pauses: what the host says of one site's budget slows that site's calls, and no other's.

A call waits here before it takes a connection, so that a site that has to wait holds nothing that others need.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cachetools import TTLCache

from addonkit.hostapi.transport import CONNECTIONS

AT_ONCE = 12
"""Most calls of one site at once."""
AT_ONCE_IN_BACKGROUND = 6
IN_BACKGROUND = CONNECTIONS // 2
"""Most calls of jobs at once, of all sites together: a page always finds a connection."""
LONGEST_PAUSE_S = 3600.0
SLOWEST_BACKGROUND_S = 60.0
KEPT = 4096
UNREACHED_S = 5.0


class PrioritySemaphore:
    """So many at once; whoever serves a page goes first.

    Attributes:
        most: How many now.
    """

    def __init__(self) -> None:
        self.most = AT_ONCE
        self._running = 0
        self._pages: deque[asyncio.Future[None]] = deque()
        self._jobs: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, background: bool) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the block."""
        waiting = self._jobs if background else self._pages
        if not waiting and self._is_free(background):
            self._running += 1
        else:
            await self._wait(waiting)
        try:
            yield
        finally:
            self._end()

    def allow(self, most: int) -> None:
        """Let so many be at once from now on."""
        self.most = most
        self._wake()

    def is_idle(self) -> bool:
        """Whether nobody has a turn or waits for one."""
        return not (self._running or self._pages or self._jobs)

    async def _wait(self, waiting: deque[asyncio.Future[None]]) -> None:
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in waiting:
                waiting.remove(turn)
            elif not turn.cancelled():
                self._end()  # its turn came as it left
            raise

    def _is_free(self, background: bool) -> bool:
        return self._running < self.most and not (background and self._pages)

    def _end(self) -> None:
        self._running -= 1
        self._wake()

    def _wake(self) -> None:
        for waiting, kind in ((self._pages, False), (self._jobs, True)):
            while waiting and self._is_free(kind):
                turn = waiting.popleft()
                if not turn.done():
                    self._running += 1
                    turn.set_result(None)


class RateBudget:
    """What is left of one site's budget, as far as the host says.

    Attributes:
        turns: Its calls of this moment.
        background: Those of jobs.
        reason: Why it is paused, in the host's word.
    """

    def __init__(self) -> None:
        self.turns = PrioritySemaphore()
        self.background = asyncio.Semaphore(AT_ONCE_IN_BACKGROUND)
        self.reason = ""
        self._until = self._background_until = 0.0

    def pause_s(self, background: bool) -> float:
        """How long a call has to wait, in seconds."""
        until = max(self._until, self._background_until) if background else self._until
        return max(0.0, until - time.monotonic())

    def pause(self, seconds: float, reason: str) -> bool:
        """Let nothing begin for a while, and then one at a time until one is served; tell whether that is news."""
        news = not self.is_short()
        self.reason = reason
        self._until = max(self._until, time.monotonic() + min(seconds, LONGEST_PAUSE_S))
        self.turns.allow(1)
        return news

    def served(self) -> None:
        """Note that the site serves calls again."""
        # a call that was under way when the site began to ask for patience says nothing of now
        if self.is_short() and not self.pause_s(False):
            self.turns.allow(AT_ONCE)

    def is_short(self) -> bool:
        """Whether the site was told to wait, and has served none since."""
        return self.turns.most < AT_ONCE

    def note(self, headers: Mapping[str, str], now: float) -> None:
        """Take what an answer says of the budget: while little is left, work in the background waits for its renewal.

        Source: ``X-RateLimit-Remaining``, ``X-RateLimit-NearLimit``, ``X-RateLimit-Reset`` (ISO 8601).
        """
        if headers.get("x-ratelimit-nearlimit", "").lower() != "true" and headers.get("x-ratelimit-remaining") != "0":
            return
        left = _until_iso(headers.get("x-ratelimit-reset", ""), now)
        if left is not None:
            slow = min(max(left, 0.0), SLOWEST_BACKGROUND_S)
            self._background_until = max(self._background_until, time.monotonic() + slow)

    def is_forgettable(self) -> bool:
        """Whether a fresh one would do as well."""
        return self.turns.is_idle() and not self.background.locked() and not self.pause_s(True)


class RateLimits:
    """The budgets of all sites, and the part of the process that work in the background may take."""

    def __init__(self) -> None:
        self._budgets: dict[int, RateBudget] = {}
        self._unreached: TTLCache[str, bool] = TTLCache(KEPT, UNREACHED_S)
        self._background = asyncio.Semaphore(IN_BACKGROUND)

    def of(self, tenant_id: int) -> RateBudget:
        """The budget of a site."""
        if (found := self._budgets.get(tenant_id)) is not None:
            return found
        if len(self._budgets) >= KEPT:
            self._budgets = {key: one for key, one in self._budgets.items() if not one.is_forgettable()}
        self._budgets[tenant_id] = made = RateBudget()
        return made

    def note_reached(self, base_url: str, reached: bool) -> None:
        """Note whether somebody took a connection, after it was tried more than once."""
        if reached:
            self._unreached.pop(base_url, None)
        else:
            self._unreached[base_url] = True

    def is_unreached(self, base_url: str) -> bool:
        """Whether that was so a moment ago: each page would otherwise wait for it anew."""
        return base_url in self._unreached

    @asynccontextmanager
    async def turn(self, budget: RateBudget, background: bool) -> AsyncIterator[None]:
        """Wait for a turn of the site, and hold it for the block.

        A job that waits for its part of the process holds no turn meanwhile: a page may want it.
        """
        if not background:
            async with budget.turns.turn(False):
                yield
            return
        async with budget.background, self._background, budget.turns.turn(True):
            yield


def retry_after_s(headers: Mapping[str, str], now: float, *, limited: bool = True) -> float | None:
    """What ``Retry-After`` asks for, in seconds from now, an hour at most; None where nothing can be read.

    Args:
        headers: By name in lower case.
        now: Unix time.
        limited: Whether the budget is used up, so that the time of its renewal stands in where nothing else is said.
    """
    said = headers.get("retry-after", "").strip()
    left: float | None
    if said.isascii() and said.isdecimal():
        left = float(said[:9])
    else:
        try:
            left = parsedate_to_datetime(said).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            left = _until_iso(headers.get("x-ratelimit-reset", ""), now) if limited else None
    return None if left is None else min(max(0.0, left), LONGEST_PAUSE_S)


def back_off_s(attempt: int) -> float:
    """How long to wait before trying again on one's own account: half a second, twice as long each time, scattered."""
    return random.uniform(0.5, 1.0) * 0.5 * 2.0 ** (attempt - 1)  # noqa: S311 - nothing is secret about it


def _until_iso(said: str, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(said.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
