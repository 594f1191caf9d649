"""Counts requests, host calls and event loop lag, and renders them as text for Prometheus.

Label values are names from the code, status classes and fixed words: never text from a caller, a user or a site.
prometheus_client is imported when counting begins; a deployment in which nobody can read the metrics never imports it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from addonkit.current import current_work
from addonkit.edge.request import RUNTIME, InboundRequest
from addonkit.errors import AddonkitError
from addonkit.jobs.observed import PROCESS_DIED
from addonkit.jobs.statistics import QueueStatistics
from addonkit.log import structlog
from addonkit.origin import Trace
from addonkit.single_flight import SingleFlight
from addonkit.tenancy.directory import Directory

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from addonkit.edge.prometheus import PrometheusMetrics

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
STATUS_CLASSES = ("aborted", "1xx", "2xx", "3xx", "4xx", "5xx")
"""By the first digit of the status; status 0 means that the caller left before the response."""
ACCEPTED, REFUSED, UNAVAILABLE = "accepted", "refused", "unavailable"
LAG_INTERVAL_S = 1.0
QUEUE_STATS_LIFE_S = 5.0
QUEUE_STATS_TIMEOUT_S = 2.0
FIRST_READ_PAUSE_S = 0.2
"""Pause between two reads of the queue until the jobs were counted for the first time."""

log = structlog.get_logger(__name__)


class Metrics:
    """The metrics of this process and, with several worker processes, of all of them.

    Args:
        directory: In-memory cache of tenants, which counts its own hits and misses.
        queue_stats: Reads the state of the queue; None until the jobs were counted for the first time.
        versions: Versions of the enabled plugins by name.
        host_requests: Kind and event of all lifecycle requests and webhooks: ``("lifecycle", "installed")``.
        addon: The add-on's key, which all metrics get as a label; None: they have no such label.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        queue_stats: Callable[[], Awaitable[QueueStatistics | None]],
        versions: Mapping[str, str],
        host_requests: tuple[tuple[str, str], ...],
        addon: str | None = None,
    ) -> None:
        self._directory, self._read_queue_stats, self._versions = directory, queue_stats, versions
        self._host_requests, self._addon = host_requests, addon
        self._queue_stats: QueueStatistics | None = None
        self._queue_stats_expire = self._queue_stats_at = 0.0
        self._queue_reads: SingleFlight[None, None] = SingleFlight()
        self._wants_exemplars = self._is_queue_lost = False
        self._followed: list[tuple[str, str, Callable[[], float]]] = []
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}
        self._prometheus: PrometheusMetrics | None = None

    @property
    def prometheus(self) -> PrometheusMetrics:
        """The metrics in prometheus_client, created on first access."""
        if self._prometheus is None:
            from addonkit.edge.prometheus import PrometheusMetrics

            self._prometheus = PrometheusMetrics(self._versions, self._addon)
            self._prometheus.follow_directory(self._directory)
            for followed in self._followed:
                self._prometheus.follow(*followed)
            for kind, event in self._host_requests:
                for outcome in (ACCEPTED, REFUSED, UNAVAILABLE):
                    self._prometheus.host_requests(kind, event, outcome)
            for product in ("jira", "confluence", "unknown"):
                self._prometheus.webhooks_refused(product)
            for plugin in (*self._versions, RUNTIME):
                self._prometheus.job_retries(plugin, PROCESS_DIED)
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
        timer.observe(seconds, _exemplar(request) if self._wants_exemplars else None)
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

    def job_started(self, plugin: str, waited_s: float) -> None:
        """Count one attempt that begins; see :class:`addonkit.work.JobObserver`."""
        self.prometheus.job_waits(plugin).observe(waited_s)

    def job_ended(
        self, plugin: str, name: str, outcome: str, seconds: float, *, job_id: int, traceparent: str | None
    ) -> None:
        """Count one attempt that has ended; see :class:`addonkit.work.JobObserver`."""
        self.prometheus.job_attempts(plugin, outcome).inc()
        exemplar = None
        if self._wants_exemplars:
            trace = Trace.read(traceparent)
            exemplar = {"job": str(job_id), **({} if trace is None else {"trace_id": trace.trace_id})}
        self.prometheus.job_durations(plugin, name).observe(seconds, exemplar)

    def job_retried(self, plugin: str, reason: str) -> None:
        """Count one job that will be attempted again; see :class:`addonkit.work.JobObserver`."""
        self.prometheus.job_retries(plugin, reason).inc()

    def follow(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Publish a number of this process as ``addonkit_<name>``, read once a second and at each scrape."""
        self._followed.append((f"addonkit_{name}", documentation, read))

    async def text(self, accept: str | None = None) -> tuple[bytes, bytes]:
        """Render all metrics as text; while the database does not answer, those of the queue keep their last values.

        Args:
            accept: The Accept header of the request.

        Returns:
            The content type and the text.
        """
        openmetrics = prefers_openmetrics(accept or "")
        self._wants_exemplars = self._wants_exemplars or openmetrics
        prometheus = self.prometheus
        prometheus.refresh()
        await self._refresh_queue_stats()
        age_s = time.monotonic() - self._queue_stats_at
        # In a thread, since it takes a while with many routes and processes.
        text = await asyncio.to_thread(prometheus.text, self._queue_stats, age_s, openmetrics=openmetrics)
        return OPENMETRICS if openmetrics else TEXT, text

    async def close(self) -> None:
        """Cancel a read of the queue that the database has not answered."""
        await self._queue_reads.cancel()

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

    async def _refresh_queue_stats(self) -> None:
        """Read the state of the queue if the last one is too old; concurrent scrapes share one read."""
        if time.monotonic() < self._queue_stats_expire:
            return
        try:
            async with asyncio.timeout(QUEUE_STATS_TIMEOUT_S):
                await self._queue_reads.run(None, self._read_queue)
        except (AddonkitError, TimeoutError) as failed:
            reason = str(failed) or f"the database did not answer within {QUEUE_STATS_TIMEOUT_S:g} s"
            if not self._is_queue_lost:
                log.warning("metrics.queue_not_read", reason=reason)
            self._is_queue_lost = True
        life_s = QUEUE_STATS_LIFE_S if self._queue_stats is not None else FIRST_READ_PAUSE_S
        self._queue_stats_expire = time.monotonic() + life_s

    async def _read_queue(self) -> None:
        stats = await self._read_queue_stats()
        if stats is not None:
            self._queue_stats, self._queue_stats_at = stats, time.monotonic()
        if self._is_queue_lost:
            log.info("metrics.queue_read_again")
        self._is_queue_lost = False


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header names OpenMetrics 1 with a quality above 0 that plain text does not exceed."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        name, *options = (word.strip() for word in part.lower().split(";"))
        values = dict(option.split("=", 1) for option in options if "=" in option)
        if name not in best or (name != "text/plain" and not values.get("version", "1").strip('"').startswith("1")):
            continue
        with suppress(ValueError):
            best[name] = max(best[name], float(values.get("q", 1)))
    return best["application/openmetrics-text"] > 0 and best["application/openmetrics-text"] >= best["text/plain"]


def _exemplar(request: InboundRequest) -> dict[str, str]:
    """Return the labels of the exemplar for the request that is being answered."""
    origin = current_work().origin
    return {"request_id": request.request_id} | ({} if origin is None else {"trace_id": origin.trace.trace_id})


def _host_outcome(status: int) -> str:
    """Return the outcome of a lifecycle request or webhook by its status."""
    if 200 <= status < 300:
        return ACCEPTED
    return REFUSED if 300 <= status < 500 else UNAVAILABLE
