"""What is counted, and how operators read it: the text that Prometheus scrapes.

Label values are names in the code, status classes and words of ours: never what a caller wrote, a user or a site.
prometheus_client is loaded when counting begins, which it does not where nobody could read the numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from addonkit.edge.request import InboundRequest
from addonkit.errors import AddonkitError
from addonkit.jobs.stats import QueueStats
from addonkit.tenancy.directory import Directory

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from addonkit.edge.prometheus import PrometheusMetrics

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
CLASSES = ("aborted", "1xx", "2xx", "3xx", "4xx", "5xx")
"""By the first digit of the status; 0 is a caller that left before there was an answer."""
ACCEPTED, REFUSED, UNAVAILABLE = "accepted", "refused", "unavailable"
PULSE_S = 1.0
DELIVERIES_LIFE_S = 5.0
DELIVERIES_BOUND_S = 2.0


class Metrics:
    """The numbers of this process and, with several, of its fellows.

    Args:
        directory: Counts its own hits and misses.
        waiting: Gives what is to be delivered, by plugin.
        versions: Of the enabled plugins, by name.
        host_calls: Kind and name of every call that the host may make: ``("lifecycle", "installed")``.
    """

    def __init__(
        self,
        directory: Directory,
        waiting: Callable[[], Awaitable[Mapping[str, QueueStats]]],
        versions: Mapping[str, str],
        host_calls: tuple[tuple[str, str], ...],
    ) -> None:
        self._directory, self._waiting, self._versions, self._host_calls = directory, waiting, versions, host_calls
        self._deliveries: Mapping[str, QueueStats] = {}
        self._deliveries_end = 0.0
        self._requests: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}
        self._series: PrometheusMetrics | None = None

    @property
    def series(self) -> PrometheusMetrics:
        """What is counted so far; counting begins with the first look."""
        if self._series is None:
            from addonkit.edge.prometheus import PrometheusMetrics

            self._series = PrometheusMetrics(self._versions)
            self._series.follow_directory(self._directory)
            for kind, event in self._host_calls:
                for outcome in (ACCEPTED, REFUSED, UNAVAILABLE):
                    self._series.host_calls(kind, event, outcome)
        return self._series

    def count(self, request: InboundRequest, seconds: float) -> None:
        """Count one request that is over.

        Args:
            request: With its outcome.
            seconds: From its arrival to its end.
        """
        outcome = request.outcome
        route = (outcome.plugin, outcome.route)
        key = (*route, CLASSES[min(outcome.status // 100, len(CLASSES) - 1)])
        # each name is looked up in prometheus_client once: that takes longer than to count
        if (counter := self._requests.get(key)) is None:
            counter = self._requests[key] = self.series.requests(*key)
        if (timer := self._timers.get(route)) is None:
            timer = self._timers[route] = self.series.timer(*route)
        counter.inc()
        timer.observe(seconds)
        if outcome.refused is not None:
            self.series.refusals(outcome.refused).inc()
        if outcome.host_call is not None:
            self.series.host_calls(*outcome.host_call, _served(outcome.status)).inc()
            self.series.host_call_timer(*outcome.host_call).observe(seconds)

    def count_call(self, plugin: str, outcome: str, seconds: float, sent: int) -> None:
        """Count one call to the host that is over.

        Args:
            plugin: Whose it was.
            outcome: What it came to.
            seconds: From its beginning to its end, waiting included.
            sent: How often it was sent.
        """
        self.series.calls(plugin, outcome).inc()
        self.series.call_timer(plugin).observe(seconds)
        if sent > 1:
            self.series.calls_again(plugin).inc(sent - 1)

    async def text(self) -> bytes:
        """All numbers as Prometheus reads them; deliveries are left out while the database does not answer."""
        series = self.series
        series.refresh()
        deliveries = await self._look_for_deliveries()
        # with many routes and processes this takes a while
        return await asyncio.to_thread(series.text, deliveries)

    async def pulse(self) -> None:
        """Measure how late the event loop is, and leave this process's numbers where its fellows find them."""
        loop = asyncio.get_running_loop()
        # loaded now, and not while the first request waits
        series = self.series
        while True:
            expected = loop.time() + PULSE_S
            await asyncio.sleep(PULSE_S)
            series.lag.observe(max(0.0, loop.time() - expected))
            series.refresh()

    async def _look_for_deliveries(self) -> Mapping[str, QueueStats]:
        if time.monotonic() >= self._deliveries_end:
            try:
                async with asyncio.timeout(DELIVERIES_BOUND_S):
                    self._deliveries = await self._waiting()
            except (AddonkitError, TimeoutError):
                self._deliveries = {}
            self._deliveries_end = time.monotonic() + DELIVERIES_LIFE_S
        return self._deliveries


def _served(status: int) -> str:
    """What a call of the host's came to."""
    if 200 <= status < 300:
        return ACCEPTED
    return REFUSED if 300 <= status < 500 else UNAVAILABLE
