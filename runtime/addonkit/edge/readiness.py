"""Whether this process can do its work, asked seldom however often probes come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from addonkit.errors import AddonkitError
from addonkit.log import structlog

GOOD = "ok"
FAILED = "unavailable"
LATE = "too slow"
Check = Callable[[], Awaitable[str]]
"""Gives ``ok``, or a word for what is wrong that may be told to everybody."""

log = structlog.get_logger()


class Readiness:
    """Looks at what the process needs.

    Args:
        checks: By the names that they are told under.
        life_s: How long what was found is told again.
        bound_s: Longest time that one check may take.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        life_s: float = 1.0,
        bound_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks, self._life_s, self._bound_s, self._clock = checks, life_s, bound_s, clock
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._ends = 0.0
        self._told: dict[str, str] | None = None
        self._reasons: dict[str, str] = {}

    async def look(self) -> dict[str, str]:
        """What each check found within the last second; those who ask at once share one look."""
        if self._looking is None or (self._looking.done() and self._clock() >= self._ends):
            self._looking = asyncio.create_task(self._look(), name="readiness")
        # whoever asked first may leave first
        return await asyncio.shield(self._looking)

    async def close(self) -> None:
        """End a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> dict[str, str]:
        self._reasons = {}
        words = await asyncio.gather(*(self._word(name, check) for name, check in self._checks.items()))
        found = dict(zip(self._checks, words, strict=True))
        self._ends = self._clock() + self._life_s
        if found != self._told:
            self._tell(found)
        return found

    async def _word(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(self._bound_s):
                return await check()
        except TimeoutError:
            return LATE
        except AddonkitError as wrong:
            self._reasons[name] = str(wrong)
            return FAILED
        except Exception:
            log.exception("check failed", check=name)
            return FAILED

    def _tell(self, found: dict[str, str]) -> None:
        """Log a change; the first look is told only if something is wrong."""
        wrong = {name: word for name, word in found.items() if word != GOOD}
        if wrong:
            log.warning("not ready", **wrong, reasons=self._reasons)
        elif self._told is not None:
            log.info("ready")
        self._told = found
