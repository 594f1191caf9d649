"""A clock of the event loop that a test sets, so that a timeout is tested exactly at its limit, and nothing waits."""

import asyncio

import pytest


class LoopClock:
    """The clock of the running event loop, which stands still until the test advances it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        patch.setattr(loop, "time", lambda: self.now)

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let what waits for it run."""
        self.now += seconds
        for _ in range(5):
            await asyncio.sleep(0)
