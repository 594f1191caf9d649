"""Creates the metrics of one add-on."""

from __future__ import annotations

from collections.abc import Callable, Collection

from addonkit.app.background import Background, webhook_paths
from addonkit.app.deployment import Deployment
from addonkit.app.maintenance import RUNTIME
from addonkit.database.connection import Database
from addonkit.edge.lifecycle import LIFECYCLE_EVENTS
from addonkit.edge.metrics import Metrics
from addonkit.jobs.statistics import QueueReader
from addonkit.jobs.writer import WebhookWriter
from addonkit.server.tls import certificate_expiry
from addonkit.tenancy.directory import Directory


def follow_process(
    metrics: Metrics, deployment: Deployment, writer: WebhookWriter, database: Database, background: Background
) -> None:
    """Publish how much of its limits this process uses: webhook intake, job slots, connections, its certificate."""
    metrics.follow("webhook_intake_rows", "Webhooks that wait to be stored", lambda: writer.rows)
    metrics.follow(
        "webhook_intake_bytes", "Size of the webhooks that are read or wait to be stored", lambda: writer.size
    )
    metrics.follow("webhook_intake_rows_max", "Most webhooks that may wait to be stored", lambda: writer.max_rows)
    most = "Largest size of the webhooks that may be read or wait to be stored"
    metrics.follow("webhook_intake_bytes_max", most, lambda: writer.max_bytes)
    metrics.follow("job_slots_free", "Jobs that this process can start now", background.free_slots)
    used = "Database connections in use"
    metrics.follow("database_connections_in_use", used, lambda: database.connections().in_use)
    most = "Most database connections that this process may have"
    metrics.follow("database_connections_max", most, lambda: database.connections().most)
    waiting = "Tasks that wait for a database connection"
    metrics.follow("database_connections_waiting", waiting, lambda: database.connections().waiting)
    # Read once, as the server does: it goes on with the certificate that it has loaded.
    expiry = certificate_expiry(deployment.settings.server, deployment.directory)
    if expiry is not None:
        until = "When the certificate that this process serves HTTPS with expires, in Unix time"
        metrics.follow("tls_certificate_expiry_timestamp_seconds", until, lambda: expiry)


def build_metrics(
    deployment: Deployment, directory: Directory, schedules: Callable[[], Collection[tuple[str, str]]]
) -> Metrics | None:
    """Return the metrics; None if no listener and no token allows reading them.

    Args:
        deployment: The deployment.
        directory: Its cache of tenants, whose size and hits are measured.
        schedules: Returns plugin and name of each schedule, whose lag is measured.
    """
    settings, plugins = deployment.settings.operations, deployment.registry.contributions
    if settings.bind is None and settings.work_bind is None and settings.metrics_token is None:
        return None
    versions = {name: one.installed.version for name, one in plugins.items()}
    paths = webhook_paths(deployment.registry)
    host_requests = [("lifecycle", event) for event in LIFECYCLE_EVENTS]
    host_requests += sorted({("webhook", spec.event or "") for spec in paths.values()})
    return Metrics(
        directory=directory,
        queue_stats=QueueReader((*plugins, RUNTIME), schedules).read,
        versions=versions,
        host_requests=tuple(host_requests),
        addon=deployment.settings.addon.key if settings.addon_label else None,
    )
