"""The metrics in prometheus_client: their names, labels and help texts.

Metrics of one process, such as its memory, have the label ``worker``. All others are added up over the worker
processes.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from addonkit.edge.addon_label import WithAddonLabel
from addonkit.edge.queue_metrics import WithQueue
from addonkit.edge.worker_files import SharedFiles, shared_folder, worker_label
from addonkit.jobs.statistics import QueueStatistics
from addonkit.tenancy.directory import Directory

WORKER_LABEL = "worker"
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
JOB_BUCKETS_S = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600)
WAIT_BUCKETS_S = (0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600, 14400)
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
CPU = "process_cpu_seconds_total"


@dataclass(slots=True)
class Increments:
    """Copies a number that is counted elsewhere into a counter, by adding its growth; the number may restart at 0.

    Attributes:
        counter: The counter.
        read: Returns the number.
        last: The number at the last refresh.
    """

    counter: Counter
    read: Callable[[], float]
    last: float = 0.0

    def refresh(self) -> None:
        """Add the growth since the last refresh."""
        now = self.read()
        self.counter.inc(max(0.0, now - self.last))
        self.last = now


class PrometheusMetrics:
    """All metrics of this process.

    Each attribute is called with the values of the metric's labels, and returns the counter or histogram to update.

    Args:
        versions: Versions of the enabled plugins by name.
        addon: The add-on's key, which all metrics get as a label; None: they have no such label.
    """

    def __init__(self, versions: Mapping[str, str], addon: str | None = None) -> None:
        self._addon = addon
        folder = shared_folder()
        self._worker = worker_label()
        self._registry = CollectorRegistry()
        self._source: Collector = SharedFiles(folder) if folder else self._registry
        self._increments: list[Increments] = []
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        self._process = ProcessCollector(registry=None)
        self._process_gauges: dict[str, Gauge] = {}
        self._cpu_s = 0.0
        self._cpu = self._counter(CPU, "Total user and system CPU time spent in seconds.", WORKER_LABEL)(self._worker)
        self._set_versions(versions)

        self.inbound_requests = self._counter(
            "addonkit_inbound_requests_total", "Inbound requests finished, by status class", "plugin", "route", "status"
        )
        self.inbound_request_durations = self._histogram(
            "addonkit_inbound_request_duration_seconds", "Time to answer an inbound request", "plugin", "route"
        )
        self.refusals = self._counter("addonkit_inbound_refusals_total", "Inbound requests refused, by cause", "reason")
        self.host_requests = self._counter(
            "addonkit_inbound_host_requests_total",
            "Lifecycle and webhook requests received, by outcome",
            *("kind", "event", "outcome"),
        )
        self.host_request_durations = self._histogram(
            "addonkit_inbound_host_request_duration_seconds",
            "Time to answer a lifecycle or webhook request",
            *("kind", "event"),
        )
        self.webhooks_refused = self._counter(
            "addonkit_webhooks_refused_total", "Webhooks not stored for a fault of the add-on", "product"
        )
        self.rest_requests = self._counter(
            "addonkit_rest_requests_total", "REST API requests to hosts finished, by outcome", "plugin", "outcome"
        )
        self.rest_retries = self._counter("addonkit_rest_retries_total", "Retries of REST API requests", "plugin")
        self.rest_request_durations = self._histogram(
            "addonkit_rest_request_duration_seconds", "Duration of REST API requests, with retries", "plugin"
        )
        self.job_attempts = self._counter(
            "addonkit_job_attempts_total", "Attempts at jobs that have ended, by outcome", "plugin", "outcome"
        )
        self.job_retries = self._counter(
            "addonkit_job_retries_total", "Jobs that will be attempted again, by reason", "plugin", "reason"
        )
        self.job_durations = self._histogram(
            "addonkit_job_duration_seconds", "Duration of attempts at jobs", "plugin", "job_name", buckets=JOB_BUCKETS_S
        )
        self.job_waits = self._histogram(
            "addonkit_job_wait_seconds", "Time from a job's due time to its start", "plugin", buckets=WAIT_BUCKETS_S
        )
        self.event_loop_lag = self._histogram(
            "addonkit_event_loop_lag_seconds", "Event loop lag", WORKER_LABEL, buckets=LAG_BUCKETS_S
        )(self._worker)

    def follow_directory(self, directory: Directory) -> None:
        """Publish the hits, the misses and the size of the in-memory cache of tenants."""
        lookups = self._counter("addonkit_directory_lookups_total", "Tenant lookups, by cache hit or miss", "result")
        self._increments.append(Increments(lookups("hit"), lambda: directory.hits))
        self._increments.append(Increments(lookups("miss"), lambda: directory.misses))
        self.follow("addonkit_directory_tenants", "Tenants in memory", lambda: len(directory))

    def follow(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Publish a number of this process, which is read at each refresh."""
        self._gauges.append((self._gauge(name, documentation, WORKER_LABEL).labels(self._worker), read))

    def refresh(self) -> None:
        """Copy the numbers that the directory and the operating system count into the metrics."""
        for increments in self._increments:
            increments.refresh()
        for gauge, read in self._gauges:
            gauge.set(read())
        for family in self._process.collect():
            for sample in family.samples:
                self._set_process_metric(sample.name, family.documentation, sample.value)

    def text(self, queue: QueueStatistics | None, age_s: float, *, openmetrics: bool = False) -> bytes:
        """Render all metrics as text, including those of the other workers if they share a folder.

        Args:
            queue: The state of the queue when it was last read; None: it was never read.
            age_s: How long ago that was, in seconds.
            openmetrics: Whether to use the format OpenMetrics 1.0 instead of Prometheus's text format 0.0.4.
        """
        collector: Collector = WithQueue(self._source, queue, age_s)
        if self._addon is not None:
            collector = WithAddonLabel(collector, self._addon)
        if openmetrics:
            text: bytes = generate_openmetrics(collector)  # type: ignore[no-untyped-call]  # untyped there
            return text
        return generate_latest(collector)

    def _set_versions(self, versions: Mapping[str, str]) -> None:
        build = self._gauge("addonkit_build_info", "The running version of addonkit; always 1", "version", "python")
        build.labels(version("addonkit"), platform.python_version()).set(1)
        plugins = self._gauge("addonkit_plugin_info", "An enabled plugin; always 1", "plugin", "version")
        for name, number in versions.items():
            plugins.labels(name, number).set(1)

    def _set_process_metric(self, name: str, documentation: str, value: float) -> None:
        if name == CPU:
            self._cpu.inc(max(0.0, value - self._cpu_s))
            self._cpu_s = value
            return
        if name not in self._process_gauges:
            self._process_gauges[name] = self._gauge(name, documentation, WORKER_LABEL).labels(self._worker)
        self._process_gauges[name].set(value)

    def _counter(self, name: str, documentation: str, *labels: str) -> Callable[..., Counter]:
        counter = Counter(name, documentation, labels, registry=self._registry)
        return counter.labels

    def _histogram(
        self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...] = DURATION_BUCKETS_S
    ) -> Callable[..., Histogram]:
        histogram = Histogram(name, documentation, labels, registry=self._registry, buckets=buckets)
        return histogram.labels

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self._registry, multiprocess_mode="mostrecent")
