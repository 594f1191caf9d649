"""Counts requests, host calls and event loop lag, and renders them as text for Prometheus.

Label values are names from the code, status classes and fixed words: never text from a caller, a user or a site.
prometheus_client is imported when counting begins; a deployment in which nobody can read the metrics never imports it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from addonkit.edge.request import InboundRequest
from addonkit.errors import AddonkitError
from addonkit.jobs.query import QueueStats
from addonkit.tenancy.directory import Directory

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from addonkit.edge.prometheus import PrometheusMetrics

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
STATUS_CLASSES = ("aborted", "1xx", "2xx", "3xx", "4xx", "5xx")
"""By the first digit of the status; status 0 means that the caller left before the response."""
ACCEPTED, REFUSED, UNAVAILABLE = "accepted", "refused", "unavailable"
LAG_INTERVAL_S = 1.0
QUEUE_STATS_LIFE_S = 5.0
QUEUE_STATS_TIMEOUT_S = 2.0


class Metrics:
    """The metrics of this process and, with several worker processes, of all of them.

    Args:
        directory: In-memory cache of tenants, which counts its own hits and misses.
        queue_stats: Reads the number of pending, failing and dead jobs by plugin.
        versions: Versions of the enabled plugins by name.
        host_requests: Kind and event of all lifecycle requests and webhooks: ``("lifecycle", "installed")``.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        queue_stats: Callable[[], Awaitable[Mapping[str, QueueStats]]],
        versions: Mapping[str, str],
        host_requests: tuple[tuple[str, str], ...],
    ) -> None:
        self._directory, self._read_queue_stats, self._versions = directory, queue_stats, versions
        self._host_requests = host_requests
        self._queue_stats: Mapping[str, QueueStats] = {}
        self._queue_stats_expire = 0.0
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}
        self._prometheus: PrometheusMetrics | None = None

    @property
    def prometheus(self) -> PrometheusMetrics:
        """The metrics in prometheus_client, created on first access."""
        if self._prometheus is None:
            from addonkit.edge.prometheus import PrometheusMetrics

            self._prometheus = PrometheusMetrics(self._versions)
            self._prometheus.follow_directory(self._directory)
            for kind, event in self._host_requests:
                for outcome in (ACCEPTED, REFUSED, UNAVAILABLE):
                    self._prometheus.host_requests(kind, event, outcome)
            for product in ("jira", "confluence", "unknown"):
                self._prometheus.webhooks_refused(product)
        return self._prometheus

    def count(self, request: InboundRequest, seconds: float) -> None:
        """Count one finished inbound request.

        Args:
            request: The request with its record.
            seconds: Time from arrival to end.
        """
        record = request.record
        route = (record.plugin, record.route)
        key = (*route, STATUS_CLASSES[min(record.status // 100, len(STATUS_CLASSES) - 1)])
        # Looking up labels in prometheus_client takes longer than counting, so each is looked up once.
        if (counter := self._counters.get(key)) is None:
            counter = self._counters[key] = self.prometheus.inbound_requests(*key)
        if (timer := self._timers.get(route)) is None:
            timer = self._timers[route] = self.prometheus.inbound_request_durations(*route)
        counter.inc()
        timer.observe(seconds)
        if record.refused is not None:
            self.prometheus.refusals(record.refused).inc()
        if record.host_request is not None:
            self.prometheus.host_requests(*record.host_request, _host_outcome(record.status)).inc()
            self.prometheus.host_request_durations(*record.host_request).observe(seconds)

    def count_refused_webhook(self, product: str) -> None:
        """Count one webhook that was not stored for a fault of ours.

        Args:
            product: The site's product; ``unknown`` if the site could not be verified.
        """
        self.prometheus.webhooks_refused(product).inc()

    def count_call(self, plugin: str, outcome: str, seconds: float, sent: int) -> None:
        """Count one finished host call, which is an outgoing REST API request with its retries.

        Args:
            plugin: The plugin that made the call.
            outcome: Status class, or a fixed word such as ``unavailable`` for a call without a response.
            seconds: Time from beginning to end, including the time spent waiting for the rate budget.
            sent: Number of times that the request was sent.
        """
        self.prometheus.rest_requests(plugin, outcome).inc()
        self.prometheus.rest_request_durations(plugin).observe(seconds)
        if sent > 1:
            self.prometheus.rest_retries(plugin).inc(sent - 1)

    async def text(self) -> bytes:
        """Render all metrics as text, without those of the queue while the database does not answer."""
        prometheus = self.prometheus
        prometheus.refresh()
        queue_stats = await self._cached_queue_stats()
        # In a thread, since it takes a while with many routes and processes.
        return await asyncio.to_thread(prometheus.text, queue_stats)

    async def measure_lag(self) -> None:
        """Measure the event loop lag once a second, and publish this process's gauges to the other workers."""
        loop = asyncio.get_running_loop()
        # Import prometheus_client now rather than during the first request.
        prometheus = self.prometheus
        while True:
            expected = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            prometheus.event_loop_lag.observe(max(0.0, loop.time() - expected))
            prometheus.refresh()

    async def _cached_queue_stats(self) -> Mapping[str, QueueStats]:
        if time.monotonic() >= self._queue_stats_expire:
            try:
                async with asyncio.timeout(QUEUE_STATS_TIMEOUT_S):
                    self._queue_stats = await self._read_queue_stats()
            except (AddonkitError, TimeoutError):
                self._queue_stats = {}
            self._queue_stats_expire = time.monotonic() + QUEUE_STATS_LIFE_S
        return self._queue_stats


def _host_outcome(status: int) -> str:
    """Return the outcome of a lifecycle request or webhook by its status."""
    if 200 <= status < 300:
        return ACCEPTED
    return REFUSED if 300 <= status < 500 else UNAVAILABLE
