"""The metrics by their names, kept by prometheus_client; loaded where something is counted.

How several workers share their numbers is in ``sharing``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from addonkit.edge.prometheus_multiproc import MultiprocessRegistry, shared_folder, worker_number
from addonkit.jobs.stats import QueueStats
from addonkit.tenancy.directory import Directory

ALL_WORKERS = "all"
"""Stands for a worker's number on what is read from the database they share."""
ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
CPU = "process_cpu_seconds_total"


@dataclass(slots=True)
class Followed:
    """A counter that grows as another number does, which may begin again at nothing."""

    counter: Counter
    read: Callable[[], float]
    seen: float = 0.0

    def refresh(self) -> None:
        """Take over what has been added since."""
        now = self.read()
        self.counter.inc(max(0.0, now - self.seen))
        self.seen = now


class PrometheusMetrics:
    """All metrics of this process.

    Args:
        versions: Of the enabled plugins, by name.
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        folder = shared_folder()
        self._worker = worker_number()
        self._registry = CollectorRegistry()
        self._source: Collector = MultiprocessRegistry(folder) if folder else self._registry
        self._followed: list[Followed] = []
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        self._process = ProcessCollector(registry=None)
        self._process_gauges: dict[str, Gauge] = {}
        self._cpu_s = 0.0
        self._cpu = self._counter(CPU, "Total user and system CPU time spent in seconds.").labels(self._worker)
        self._make_counters()
        self._make_timers()
        self._tell_versions(versions)

    def _make_counters(self) -> None:
        self._requests = self._counter("addonkit_requests_total", "Requests that are over", "plugin", "route", "status")
        self._refusals = self._counter("addonkit_refusals_total", "Requests that were refused, by cause", "reason")
        self._host_calls = self._counter(
            "addonkit_host_calls_total", "Calls of the host's, by what they came to", "kind", "event", "outcome"
        )

        self._calls = self._counter(
            "addonkit_rest_calls_total", "Calls to the host's REST API, by what they came to", "plugin", "outcome"
        )
        self._calls_again = self._counter(
            "addonkit_rest_calls_again_total", "How often such a call was sent once more", "plugin"
        )

    def _make_timers(self) -> None:
        self._call_timers = self._histogram(
            "addonkit_rest_call_duration_seconds", "Time that a call to the host's REST API took", "plugin"
        )
        self._timers = self._histogram("addonkit_request_duration_seconds", "Time to answer", "plugin", "route")
        self._host_timers = self._histogram(
            "addonkit_host_call_duration_seconds", "Time to answer a call of the host's", "kind", "event"
        )
        lag = self._histogram("addonkit_event_loop_lag_seconds", "How late the event loop came round", buckets=LAG_S)
        self.lag = lag.labels(self._worker)

    def _tell_versions(self, versions: Mapping[str, str]) -> None:
        build = self._gauge("addonkit_build_info", "The runtime that is running; always 1", "version", "python")
        build.labels(version("addonkit"), platform.python_version(), self._worker).set(1)
        plugins = self._gauge("addonkit_plugin_info", "A plugin that is on; always 1", "plugin", "version")
        for name, number in versions.items():
            plugins.labels(name, number, self._worker).set(1)

    def follow_directory(self, directory: Directory) -> None:
        """Count how often a site was in memory."""
        found = self._counter("addonkit_directory_lookups_total", "Sites looked up, by where they were", "result")
        self._followed.append(Followed(found.labels("hit", self._worker), lambda: directory.hits))
        self._followed.append(Followed(found.labels("miss", self._worker), lambda: directory.misses))
        held = self._gauge("addonkit_directory_sites", "Sites in memory").labels(self._worker)
        self._gauges.append((held, lambda: len(directory)))

    def requests(self, plugin: str, route: str, status: str) -> Counter:
        """Counts the answers of one route in one class of status."""
        return self._requests.labels(plugin, route, status, self._worker)

    def timer(self, plugin: str, route: str) -> Histogram:
        """Times the answers of one route."""
        return self._timers.labels(plugin, route, self._worker)

    def refusals(self, reason: str) -> Counter:
        """Counts the refusals for one cause."""
        return self._refusals.labels(reason, self._worker)

    def host_calls(self, kind: str, event: str, outcome: str) -> Counter:
        """Counts calls of the host's that came to the same."""
        return self._host_calls.labels(kind, event, outcome, self._worker)

    def host_call_timer(self, kind: str, event: str) -> Histogram:
        """Times calls of the host's."""
        return self._host_timers.labels(kind, event, self._worker)

    def calls(self, plugin: str, outcome: str) -> Counter:
        """Counts calls to the host that came to the same."""
        return self._calls.labels(plugin, outcome, self._worker)

    def calls_again(self, plugin: str) -> Counter:
        """Counts calls to the host that were sent once more."""
        return self._calls_again.labels(plugin, self._worker)

    def call_timer(self, plugin: str) -> Histogram:
        """Times calls to the host."""
        return self._call_timers.labels(plugin, self._worker)

    def refresh(self) -> None:
        """Take over what others count: the directory, and the operating system."""
        for one in self._followed:
            one.refresh()
        for gauge, read in self._gauges:
            gauge.set(read())
        for family in self._process.collect():
            for sample in family.samples:
                self._take_over(sample.name, family.documentation, sample.value)

    def text(self, deliveries: Mapping[str, QueueStats]) -> bytes:
        """All numbers as text: those of all workers where they share them.

        Args:
            deliveries: What is to be delivered, by plugin.
        """
        return generate_latest(_Together(self._source, deliveries))

    def _take_over(self, name: str, documentation: str, value: float) -> None:
        if name == CPU:
            self._cpu.inc(max(0.0, value - self._cpu_s))
            self._cpu_s = value
            return
        if name not in self._process_gauges:
            self._process_gauges[name] = self._gauge(name, documentation).labels(self._worker)
        self._process_gauges[name].set(value)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, [*labels, "worker"], registry=self._registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, [*labels, "worker"], registry=self._registry, multiprocess_mode="mostrecent")

    def _histogram(
        self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...] = ANSWER_S
    ) -> Histogram:
        return Histogram(name, documentation, [*labels, "worker"], registry=self._registry, buckets=buckets)


class _Together(Collector):
    """What processes count, and what the database holds."""

    def __init__(self, own: Collector, deliveries: Mapping[str, QueueStats]) -> None:
        self._own, self._deliveries = own, deliveries

    def collect(self) -> Iterator[Metric]:
        """Give one metric after the other."""
        yield from self._own.collect()
        yield from _delivery_metrics(self._deliveries)


def _delivery_metrics(deliveries: Mapping[str, QueueStats]) -> Iterable[Metric]:
    labels = ("plugin", "worker")
    pending = GaugeMetricFamily("addonkit_jobs_pending", "Jobs of a plugin that are not finished", labels=labels)
    failing = GaugeMetricFamily("addonkit_jobs_failing", "Those of them that failed before", labels=labels)
    dead = GaugeMetricFamily("addonkit_jobs_dead", "Jobs of a plugin that failed for good", labels=labels)
    for plugin, backlog in deliveries.items():
        pending.add_metric((plugin, ALL_WORKERS), backlog.pending)
        failing.add_metric((plugin, ALL_WORKERS), backlog.failing)
        dead.add_metric((plugin, ALL_WORKERS), backlog.dead)
    return pending, failing, dead
