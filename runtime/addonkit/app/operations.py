"""The endpoints for operators of one add-on: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Callable

from addonkit.app.deployment import Deployment
from addonkit.app.readiness import REASONS, readiness_checks
from addonkit.edge.metrics import Metrics
from addonkit.edge.operations import Operations
from addonkit.edge.readiness import Readiness
from addonkit.edge.response import SecurityHeaders


def build_operations(
    deployment: Deployment,
    security: SecurityHeaders,
    metrics: Metrics | None,
    *,
    is_draining: Callable[[], bool],
    is_alive: Callable[[], bool],
    is_working: Callable[[], bool],
) -> tuple[Readiness, Operations]:
    """Return the readiness checks, which the caller closes, and the endpoints.

    Args:
        deployment: The deployment.
        security: The headers of all responses.
        metrics: The metrics; None if they are off.
        is_draining: Whether the process is about to stop.
        is_alive: Whether the process need not be replaced.
        is_working: Whether the job worker runs, or this process has none.
    """
    readiness = Readiness(readiness_checks(deployment, is_working), reasons=REASONS)
    operations = Operations(
        readiness=readiness,
        draining=is_draining,
        alive=is_alive,
        metrics=metrics,
        token=deployment.settings.operations.metrics_token,
        security=security,
    )
    return readiness, operations
