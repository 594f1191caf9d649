"""Readiness checks behind ``/readyz``: their results are cached for a second, and concurrent probes share one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from addonkit.errors import AddonkitError
from addonkit.log import structlog
from addonkit.single_flight import SingleFlight

OK = "ok"
UNAVAILABLE = "unavailable"
TOO_SLOW = "too slow"
ReadinessCheck = Callable[[], Awaitable[str]]
"""Returns ``ok``, or a public word for what is wrong."""

log = structlog.get_logger()


class Readiness:
    """Runs the readiness checks of a process.

    Args:
        checks: Checks by the names that ``/readyz`` shows.
        life_s: Seconds for which results are reused.
        timeout_s: Longest time of one check, in seconds.
        clock: Monotonic seconds.
        reasons: What the log says about the words that checks return.
    """

    def __init__(
        self,
        checks: Mapping[str, ReadinessCheck],
        life_s: float = 1.0,
        timeout_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        self._checks, self._life_s, self._timeout_s, self._clock = checks, life_s, timeout_s, clock
        self._runs: SingleFlight[None, dict[str, str]] = SingleFlight()
        self._results: dict[str, str] | None = None
        self._expires = 0.0
        self._reasons: dict[str, str] = {}
        self._reasons_of_words = reasons or {}

    async def results(self) -> dict[str, str]:
        """Return the result of each check, at most ``life_s`` seconds old."""
        if self._results is not None and self._clock() < self._expires:
            return self._results
        return await self._runs.run(None, self._run)

    async def close(self) -> None:
        """Cancel running checks."""
        await self._runs.cancel()

    async def _run(self) -> dict[str, str]:
        self._reasons = {}
        words = await asyncio.gather(*(self._result(name, check) for name, check in self._checks.items()))
        results = dict(zip(self._checks, words, strict=True))
        previous, self._results = self._results, results
        self._expires = self._clock() + self._life_s
        if results != previous:
            self._log_change(results, is_first=previous is None)
        return results

    async def _result(self, name: str, check: ReadinessCheck) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                word = await check()
        except TimeoutError:
            return TOO_SLOW
        except AddonkitError as failed:
            self._reasons[name] = str(failed)
            return UNAVAILABLE
        except Exception:
            log.exception("readiness.check_failed", check=name)
            return UNAVAILABLE
        if word in self._reasons_of_words:
            self._reasons[name] = self._reasons_of_words[word]
        return word

    def _log_change(self, results: dict[str, str], *, is_first: bool) -> None:
        """Log that readiness was lost or restored; a first run without failures is not logged."""
        failed = {name: result for name, result in results.items() if result != OK}
        if failed:
            log.warning("readiness.lost", **failed, reasons=self._reasons)
        elif not is_first:
            log.info("readiness.restored")
