"""Traces of one add-on in one process: starts and stops what records spans and sends them to the collector.

Everything but the switch itself is configured by OpenTelemetry's standard variables, such as ``OTEL_SERVICE_NAME``,
``OTEL_EXPORTER_OTLP_ENDPOINT`` and ``OTEL_TRACES_SAMPLER``.
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Iterable

from opentelemetry import trace as otel
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from addonkit.errors import SettingsInvalid
from addonkit.log import structlog
from addonkit.telemetry.export import CollectorExporter, new_exporter
from addonkit.telemetry.plugin_spans import offer_to_plugins
from addonkit.telemetry.tracer import OtelTracer, RequestIds

FLUSH_S = 5.0
"""Longest time at the end of a process for spans that have not been sent yet."""
PROTOCOL = "http/protobuf"
PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER_VARIABLE = "OTEL_TRACES_EXPORTER"

log = structlog.get_logger(__name__)


class Tracing:
    """Records the spans of one add-on between :meth:`start` and :meth:`stop`.

    It starts no thread before that, so that it can be created before a process forks.

    Args:
        service_name: Name of the service, unless the environment has one.

    Attributes:
        tracer: Records the spans.

    Raises:
        SettingsInvalid: The environment asks for another exporter or protocol.
    """

    def __init__(self, service_name: str) -> None:
        check_environment()
        self.tracer, self._service_name = OtelTracer(), service_name
        self._running: tuple[SpanExporter, SpanProcessor] | None = None

    def start(self) -> None:
        """Record spans from now on, and send them from a thread of this process."""
        exporter = CollectorExporter(new_exporter())
        self._running = exporter, BatchSpanProcessor(exporter)
        provider = TracerProvider(
            resource=_resource(self._service_name), id_generator=RequestIds(), shutdown_on_exit=False
        )
        provider.add_span_processor(self._running[1])
        self.tracer.connect(provider)
        offer_to_plugins()

    async def stop(self, within_s: float = FLUSH_S) -> None:
        """Record no more spans and send those that are left; spans that cannot be sent in time are lost."""
        self.tracer.connect(otel.NoOpTracerProvider())
        if self._running is None:
            return
        (exporter, processor), self._running = self._running, None
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            processor.shutdown()
            try:
                loop.call_soon_threadsafe(ended.set)
            except RuntimeError:  # the loop has ended meanwhile
                return

        # A daemon thread, and not one of the loop's, whose end the process would wait for.
        threading.Thread(target=flush, name="tracing", daemon=True).start()
        try:
            async with asyncio.timeout(within_s):
                await ended.wait()
        except TimeoutError:
            log.warning("tracing.not_flushed", within_s=within_s)
            exporter.shutdown()


def check_environment() -> None:
    """Check that the standard variables ask for nothing that is not installed.

    Raises:
        SettingsInvalid: They ask for another exporter or protocol.
    """
    exporter = os.environ.get(EXPORTER_VARIABLE, "").strip().lower() or "otlp"
    if exporter not in ("otlp", "none"):
        raise SettingsInvalid(
            f"{EXPORTER_VARIABLE} is '{exporter}', but addonkit[otel] sends spans by OTLP only; set it to 'otlp', or "
            "to 'none' to send nothing"
        )
    name, protocol = _first_set(PROTOCOL_VARIABLES)
    if name and protocol.lower() != PROTOCOL:
        raise SettingsInvalid(
            f"{name} is '{protocol}', but addonkit[otel] sends '{PROTOCOL}'; remove it, and name the "
            "collector's HTTP port (usually 4318) in OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    name, endpoint = _first_set(ENDPOINT_VARIABLES)
    if name and not endpoint.lower().startswith(("http://", "https://")):
        raise SettingsInvalid(
            f"{name} is '{endpoint}', expected the URL of a collector; write it as 'http://127.0.0.1:4318'"
        )


def _first_set(names: Iterable[str]) -> tuple[str, str]:
    """Return the first of these variables that is set, with its value; two empty texts if none is."""
    return next(((name, value) for name in names if (value := os.environ.get(name, "").strip())), ("", ""))


def is_disabled() -> bool:
    """Return whether the standard variables switch tracing off."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return is_off or os.environ.get(EXPORTER_VARIABLE, "").strip().lower() == "none"


def _resource(service_name: str) -> Resource:
    """Return what describes this process in each span; the environment goes first."""
    named = OTELResourceDetector().detect().attributes
    ours: dict[str, str | int] = {
        "service.name": service_name,
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": os.getpid(),
    }
    return Resource.create({name: value for name, value in ours.items() if name not in named})
