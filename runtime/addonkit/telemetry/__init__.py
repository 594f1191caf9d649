"""Traces with OpenTelemetry; imported only if ``[operations] tracing`` is on, because it needs ``addonkit[otel]``."""
