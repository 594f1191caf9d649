"""A semaphore with two queues, which limits the concurrent requests to one site."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_CONCURRENT = 12
"""Maximum number of concurrent requests to one site."""


class PrioritySemaphore:
    """A semaphore with two queues: requests of pages are admitted before requests of jobs.

    Attributes:
        limit: Maximum number of holders; current holders keep their slots when it is lowered.
    """

    def __init__(self) -> None:
        self.limit = MAX_CONCURRENT
        self._holders = 0
        self._foreground: deque[asyncio.Future[None]] = deque()
        self._background: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, background: bool) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the block."""
        queue = self._background if background else self._foreground
        if not queue and self._is_free(background):
            self._holders += 1
        else:
            await self._wait(queue)
        try:
            yield
        finally:
            self._release()

    def set_limit(self, limit: int) -> None:
        """Change the limit and admit as many waiters as it allows."""
        self.limit = limit
        self._admit()

    def is_idle(self) -> bool:
        """Whether nobody holds a slot or waits for one."""
        return not (self._holders or self._foreground or self._background)

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
            elif not waiter.cancelled():
                self._release()  # it was admitted and cancelled at the same time
            raise

    def _is_free(self, background: bool) -> bool:
        return self._holders < self.limit and not (background and self._foreground)

    def _release(self) -> None:
        self._holders -= 1
        self._admit()

    def _admit(self) -> None:
        for queue, background in ((self._foreground, False), (self._background, True)):
            while queue and self._is_free(background):
                waiter = queue.popleft()
                if not waiter.done():
                    self._holders += 1
                    waiter.set_result(None)
