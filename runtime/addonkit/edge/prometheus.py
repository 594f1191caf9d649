"""The metrics in prometheus_client: their names, labels and help texts, and how worker processes share them.

Each worker process keeps its metrics in files of one folder (prometheus_client's multiprocess mode), which all workers
read. The supervisor names the folder in ``PROMETHEUS_MULTIPROC_DIR`` before it starts a worker. Files are named by
worker number, not by process id: a restarted worker continues the counters of its predecessor.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from addonkit.jobs.query import QueueStats
from addonkit.tenancy.directory import Directory

WORKER, FOLDER = "ADDONKIT_WORKER", "PROMETHEUS_MULTIPROC_DIR"
ALL_WORKERS = "all"
"""Value of the label ``worker`` for metrics that are read from the database, which all workers share."""
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
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
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        folder = shared_folder()
        self._worker = worker_number()
        self._registry = CollectorRegistry()
        self._source: Collector = SharedFiles(folder) if folder else self._registry
        self._increments: list[Increments] = []
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        self._process = ProcessCollector(registry=None)
        self._process_gauges: dict[str, Gauge] = {}
        self._cpu_s = 0.0
        self._cpu = self._counter(CPU, "Total user and system CPU time spent in seconds.")()
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
        self.event_loop_lag = self._histogram(
            "addonkit_event_loop_lag_seconds", "Event loop lag", buckets=LAG_BUCKETS_S
        )()

    def follow_directory(self, directory: Directory) -> None:
        """Publish the hits, the misses and the size of the in-memory cache of tenants."""
        lookups = self._counter("addonkit_directory_lookups_total", "Tenant lookups, by cache hit or miss", "result")
        self._increments.append(Increments(lookups("hit"), lambda: directory.hits))
        self._increments.append(Increments(lookups("miss"), lambda: directory.misses))
        tenants = self._gauge("addonkit_directory_tenants", "Tenants in memory").labels(self._worker)
        self._gauges.append((tenants, lambda: len(directory)))

    def refresh(self) -> None:
        """Copy the numbers that the directory and the operating system count into the metrics."""
        for increments in self._increments:
            increments.refresh()
        for gauge, read in self._gauges:
            gauge.set(read())
        for family in self._process.collect():
            for sample in family.samples:
                self._set_process_metric(sample.name, family.documentation, sample.value)

    def text(self, queue_stats: Mapping[str, QueueStats]) -> bytes:
        """Render all metrics as text, including those of the other workers if they share a folder.

        Args:
            queue_stats: Numbers of jobs by plugin.
        """
        return generate_latest(WithQueueStats(self._source, queue_stats))

    def _set_versions(self, versions: Mapping[str, str]) -> None:
        build = self._gauge("addonkit_build_info", "The running version of addonkit; always 1", "version", "python")
        build.labels(version("addonkit"), platform.python_version(), self._worker).set(1)
        plugins = self._gauge("addonkit_plugin_info", "An enabled plugin; always 1", "plugin", "version")
        for name, number in versions.items():
            plugins.labels(name, number, self._worker).set(1)

    def _set_process_metric(self, name: str, documentation: str, value: float) -> None:
        if name == CPU:
            self._cpu.inc(max(0.0, value - self._cpu_s))
            self._cpu_s = value
            return
        if name not in self._process_gauges:
            self._process_gauges[name] = self._gauge(name, documentation).labels(self._worker)
        self._process_gauges[name].set(value)

    def _counter(self, name: str, documentation: str, *labels: str) -> Callable[..., Counter]:
        counter = Counter(name, documentation, [*labels, "worker"], registry=self._registry)
        return lambda *values: counter.labels(*values, self._worker)

    def _histogram(
        self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...] = DURATION_BUCKETS_S
    ) -> Callable[..., Histogram]:
        histogram = Histogram(name, documentation, [*labels, "worker"], registry=self._registry, buckets=buckets)
        return lambda *values: histogram.labels(*values, self._worker)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, [*labels, "worker"], registry=self._registry, multiprocess_mode="mostrecent")


class WithQueueStats(Collector):
    """Collects the metrics of another collector and the numbers of jobs.

    Args:
        source: The other collector.
        queue_stats: Numbers of jobs by plugin.
    """

    def __init__(self, source: Collector, queue_stats: Mapping[str, QueueStats]) -> None:
        self._source, self._queue_stats = source, queue_stats

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from self._source.collect()
        labels = ("plugin", "worker")
        pending = GaugeMetricFamily("addonkit_jobs_pending", "Unfinished jobs", labels=labels)
        failing = GaugeMetricFamily("addonkit_jobs_failing", "Unfinished jobs with a failed attempt", labels=labels)
        dead = GaugeMetricFamily("addonkit_jobs_dead", "Jobs that failed for good", labels=labels)
        for plugin, stats in self._queue_stats.items():
            pending.add_metric((plugin, ALL_WORKERS), stats.pending)
            failing.add_metric((plugin, ALL_WORKERS), stats.failing)
            dead.add_metric((plugin, ALL_WORKERS), stats.dead)
        yield from (pending, failing, dead)


class SharedFiles(Collector):
    """Collects the metrics of all workers from their files.

    Counters of workers that have ended are included, gauges are not. Files without a lock file, such as those that a
    plugin writes, are ignored.

    Args:
        folder: The folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Merge the metrics of all files."""
        files = [str(file) for file in sorted(self._folder.glob("*.db")) if self._is_included(file)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # untyped there
        return merged

    def _is_included(self, file: Path) -> bool:
        kind, *_, name = file.stem.split("_")
        return _is_alive(self._folder, name) if kind == "gauge" else (self._folder / f"{name}.lock").exists()


def worker_number() -> str:
    """Return the number of this worker process; ``0`` if there is only one."""
    return os.environ.get(WORKER) or "0"


@cache
def shared_folder() -> Path | None:
    """Set up prometheus_client's multiprocess mode and return the shared folder; None with a single process.

    Call it before any metric is created.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
    if not (path := os.environ.get(FOLDER)):
        return None
    folder = Path(path)
    name = _own_name(folder, worker_number())
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]  # untyped there
    return folder


def _own_name(folder: Path, worker: str) -> str:
    """Choose and lock the name of this process's files; return it.

    A restarted worker continues the files of its predecessor, so its counters do not restart at 0. If the predecessor
    still runs, as in a rolling restart, the name contains the process id: two processes must not write to one file.
    """
    name = worker
    if not _lock(folder, name):
        name = f"{worker}-{os.getpid()}"
        _lock(folder, name)
    for gauges in folder.glob(f"gauge_*_{name}.db"):
        gauges.unlink()
    return name


def _lock(folder: Path, name: str) -> bool:
    """Lock a name with flock, which lasts until this process ends; return False if another process has locked it."""
    import fcntl  # Imported here: Windows has no fcntl, and no worker processes either.

    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def _is_alive(folder: Path, name: str) -> bool:
    """Return whether the process that owns a name still holds its lock."""
    import fcntl

    try:
        lock = os.open(folder / f"{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
