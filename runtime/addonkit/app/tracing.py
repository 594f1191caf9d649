"""Creates what records the spans of one add-on, if ``[operations] tracing`` is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addonkit.app.deployment import Deployment
from addonkit.errors import SettingsInvalid

if TYPE_CHECKING:
    from addonkit.telemetry.tracing import Tracing


def build_tracing(deployment: Deployment) -> Tracing | None:
    """Return the tracing of a deployment; None if it is off, and then nothing of OpenTelemetry is imported.

    Raises:
        SettingsInvalid: Its packages are not installed, or the standard variables ask for another exporter.
    """
    if not deployment.settings.operations.tracing:
        return None
    try:
        from addonkit.telemetry.tracing import Tracing, is_disabled
    except ImportError as error:
        raise SettingsInvalid(
            f"[operations] tracing is on, but the package '{error.name}' is not installed; install 'addonkit[otel]'"
        ) from error
    return None if is_disabled() else Tracing(deployment.settings.addon.key)
