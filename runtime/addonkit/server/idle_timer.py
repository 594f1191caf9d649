"""Closes a connection that has been idle for some time, with one timer for the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Notes whether a connection is idle, and calls a function when it has been idle for some time.

    hypercorn starts and cancels a task for each request instead. Here a request only changes the note, and the timer
    reads it when it expires.

    Args:
        loop: The event loop.
        timeout_s: For how long a connection may be idle.
        on_timeout: Called when the connection has been idle for that time.
    """

    __slots__ = ("_idle_since", "_loop", "_on_timeout", "_timeout_s", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, on_timeout: Callable[[], None]) -> None:
        self._loop, self._timeout_s, self._on_timeout = loop, timeout_s, on_timeout
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the connection is idle."""
        return self._idle_since is not None

    def note_idle(self) -> None:
        """Note that the connection is idle from now on."""
        self._idle_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._expire)

    def note_busy(self) -> None:
        """Note that a request is in progress."""
        self._idle_since = None

    def cancel(self) -> None:
        """Cancel the timer, because the connection has ended."""
        self._idle_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return
        remaining_s = self._idle_since + self._timeout_s - self._loop.time()
        if remaining_s > 0:
            self._timer = self._loop.call_later(remaining_s, self._expire)
        else:
            self._on_timeout()
