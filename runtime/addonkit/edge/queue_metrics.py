"""The metrics of the queue, which are read from the database that all processes share."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from addonkit.jobs.statistics import QueueStatistics

COUNTS = {
    "pending": "Unfinished jobs",
    "waiting": "Jobs that are not due yet, or failed and will be retried",
    "ready": "Jobs that are due and wait for a free slot",
    "blocked": "Jobs behind an earlier one with the same order key",
    "held": "Jobs whose plugin is not enabled or whose site is disabled",
    "running": "Jobs that a process runs",
    "failing": "Unfinished jobs with a failed attempt",
    "dead": "Jobs that failed for good",
}
"""Help texts of the metrics ``addonkit_jobs_…`` by the attributes of ``JobCounts``."""


class WithQueue(Collector):
    """Collects the metrics of another collector and those of the queue.

    Args:
        source: The other collector.
        queue: The state of the queue when it was last read; None: it was never read.
        age_s: How long ago that was, in seconds.
    """

    def __init__(self, source: Collector, queue: QueueStatistics | None, age_s: float) -> None:
        self._source, self._queue, self._age_s = source, queue, age_s

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from self._source.collect()
        if self._queue is None:
            return
        for name, documentation in COUNTS.items():
            family = GaugeMetricFamily(f"addonkit_jobs_{name}", documentation, labels=("plugin",))
            for plugin, counts in sorted(self._queue.counts.items()):
                family.add_metric((plugin,), getattr(counts, name))
            yield family
        oldest = "How long the oldest job that is due has waited"
        yield GaugeMetricFamily("addonkit_jobs_oldest_due_seconds", oldest, value=self._queue.oldest_s)
        lag = "How late the next run of a schedule is"
        family = GaugeMetricFamily("addonkit_schedule_lag_seconds", lag, labels=("plugin", "schedule"))
        for key, seconds in sorted(self._queue.schedule_lag_s.items()):
            family.add_metric(key, seconds)
        yield family
        age = "How old the values of the queue's metrics are"
        yield GaugeMetricFamily("addonkit_queue_values_age_seconds", age, value=self._age_s)
