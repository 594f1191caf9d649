"""A clock that only pauses advance, so that the pauses of a loop in the background are known and no test waits."""

import asyncio
import time

import pytest


class PausedClock:
    """The monotonic clock, the event loop's clock and ``asyncio.sleep``, for a test.

    Args:
        patch: Undoes the changes at the end of the test.
        most: Number of pauses after which the loop is cancelled.

    Attributes:
        now: The time.
        pauses: The seconds of each pause.
    """

    def __init__(self, patch: pytest.MonkeyPatch, most: int = 1) -> None:
        self.now, self.pauses = 1000.0, list[float]()
        self._most = most
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(asyncio, "sleep", self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if len(self.pauses) == self._most:
            raise asyncio.CancelledError
