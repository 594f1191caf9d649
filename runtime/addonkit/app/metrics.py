"""Creates the metrics of one add-on."""

from __future__ import annotations

from addonkit.app.background import webhook_paths
from addonkit.app.deployment import Deployment
from addonkit.edge.lifecycle import LIFECYCLE_EVENTS
from addonkit.edge.metrics import Metrics
from addonkit.jobs.query import queue_stats
from addonkit.tenancy.directory import Directory


def build_metrics(deployment: Deployment, directory: Directory) -> Metrics | None:
    """Return the metrics; None if no listener and no token allows reading them.

    Args:
        deployment: The deployment.
        directory: Its cache of tenants, whose size and hits are measured.
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
        queue_stats=lambda: queue_stats(tuple(plugins)),
        versions=versions,
        host_requests=tuple(host_requests),
    )
