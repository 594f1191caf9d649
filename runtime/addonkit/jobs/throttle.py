"""Limits the share of the event loop that job handlers get while their process serves requests.

A coroutine holds the event loop from one of its awaits to the next, and everything else lags by as much. Each such step
of a handler is timed; while requests arrive, the next step of any handler waits so long that handlers together get a
ninth of the time. What a handler starts as a task or in a thread of its own is not counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator
from typing import Any

BUSY_S = 0.2
"""How long after an HTTP request the process counts as busy."""
IDLE_SHARE = 8
"""How many times as long as a step took the event loop is left to requests."""
CREDIT_S = 0.03
"""How much of a pause that lasted too long, because the event loop was busy, shortens the pauses after it."""
MIN_PAUSE_S = 0.001
"""Shorter pauses are added up, because timers are not more precise."""
MAX_PAUSE_S = 2.0
"""Longest pause, also after a step that held the event loop for long."""


class Throttle:
    """Shares the event loop of one process between requests and job handlers.

    Attributes:
        busy_at: When the process last served an HTTP request, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.busy_at = 0.0
        self._free_at = 0.0
        # Fair, and one timer for all: otherwise each waiting handler would wake up at the end of each pause.
        self._turn = asyncio.Lock()

    def is_busy(self) -> bool:
        """Whether the process serves requests."""
        return self._busy_s() > 0

    def pause_s(self) -> float:
        """Give the seconds until a handler may hold the event loop; 0 while there are no requests."""
        now = time.monotonic()
        pause = min(self._free_at, self.busy_at + BUSY_S) - now
        return pause if pause >= MIN_PAUSE_S else 0.0

    def used(self, seconds: float) -> None:
        """Count what a handler, or the dispatcher, has taken of the event loop's time while there were requests."""
        now = time.monotonic()
        if now >= self.busy_at + BUSY_S:
            # Nobody waited for it: it must not delay jobs once requests arrive.
            self._free_at = now
            return
        free_at = max(self._free_at, now - seconds - CREDIT_S) + (1 + IDLE_SHARE) * seconds
        self._free_at = min(free_at, now + MAX_PAUSE_S)

    def _busy_s(self) -> float:
        """Give the seconds for which the process still counts as busy, if no further request arrives."""
        return self.busy_at + BUSY_S - time.monotonic()

    async def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine within this task, and let requests go first between its steps."""
        return await _Steps(coroutine, self)

    async def turn(self) -> None:
        """Wait until a handler may hold the event loop."""
        if not self.pause_s():
            return
        async with self._turn:
            while pause := self.pause_s():  # noqa: ASYNC110 - it waits for a time, which moves on meanwhile
                await asyncio.sleep(pause)


class _Steps:
    """Awaits a coroutine step by step.

    Args:
        coroutine: The coroutine.
        throttle: Counts the time of each step, and says how long the next one waits.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], throttle: Throttle) -> None:
        self._coroutine, self._throttle = coroutine, throttle

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            if error is None and self._throttle.pause_s():
                try:
                    yield from self._throttle.turn().__await__()
                except BaseException as exc:
                    error = exc  # a cancellation while it waited
            began = time.perf_counter()
            try:
                awaited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                self._throttle.used(time.perf_counter() - began)
            error = None
            try:
                yield awaited
            except BaseException as exc:
                error = exc
