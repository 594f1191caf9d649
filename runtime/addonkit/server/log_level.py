"""The level of the log of a running process, which an operator can change for a limited time.

Child processes that are started meanwhile, such as a worker that replaces another one, get the level and its end by an
environment variable.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress

from addonkit.log import structlog
from addonkit.settings import LEVEL_VARIABLE
from addonkit.timestamps import utc_time

LEVELS = ("debug", "info", "warning", "error")
LONGEST_S = 24 * 3600
"""Longest time for which the level can be changed."""

# Without a level filter: a change of the level is logged at every level.
log = structlog.wrap_logger(None, wrapper_class=structlog.BoundLogger)


class LogLevel:
    """The level of the log of this process.

    Args:
        configured: The level of the configuration, which applies again after a change.
        apply: Configures the log with a level.

    Attributes:
        level: The level now.
        until: Unix time at which the configured level applies again; None if it applies now.
    """

    def __init__(self, configured: str, apply: Callable[[str], None]) -> None:
        self._configured, self._apply = configured, apply
        self._ending: asyncio.TimerHandle | None = None
        self.level = configured
        self.until: float | None = None

    def change(self, level: str, seconds: float) -> None:
        """Change the level for so many seconds, in place of an earlier change.

        Raises:
            ValueError: There is no such level, or the time is not between 0 and ``LONGEST_S``.
        """
        if level not in LEVELS or not 0 < seconds <= LONGEST_S:
            raise ValueError(f"the level is '{level}' for {seconds} s; expected {', '.join(LEVELS)}, for up to a day")
        self._cancel()
        self.level, self.until = level, time.time() + seconds
        self._ending = asyncio.get_running_loop().call_later(seconds, self.reset)
        # Rounded down, so that the rest of the longest time is not longer than that.
        os.environ[LEVEL_VARIABLE] = f"{level} {math.ceil(self.until) - 1}"
        self._apply(level)
        moment = utc_time(self.until)
        log.info("log.level_changed", new_level=level, until=moment and moment.isoformat(timespec="seconds"))

    def reset(self) -> None:
        """Apply the configured level again, if another one applies."""
        self._cancel()
        os.environ.pop(LEVEL_VARIABLE, None)
        if self.until is not None:
            self.level, self.until = self._configured, None
            self._apply(self.level)
            log.info("log.level_restored", new_level=self.level)

    def inherit(self) -> None:
        """Apply the change that the parent process had made when it started this one, if its time is not over."""
        level, _, until = os.environ.get(LEVEL_VARIABLE, "").partition(" ")
        # A variable that is invalid, or whose time is over, is ignored.
        with suppress(ValueError):
            self.change(level, float(until) - time.time())

    def _cancel(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
