"""Sends spans to the operator's collector in a thread of its own, so that a slow or lost collector delays nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from addonkit.log import structlog
from addonkit.text import shortened, without_tokens

NOISY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
"""Loggers that write a line for each attempt to send spans, and for each span while the queue is full."""
MAX_REASON = 300

log = structlog.get_logger(__name__)


class _Kept(logging.Filter):
    """Keeps the last line of a thread instead of logging it; ``CollectorExporter`` logs it."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a line."""
        self._thread.line = record.getMessage()
        return False

    def take(self) -> str:
        """Return the last line of this thread, once."""
        line: str = getattr(self._thread, "line", "")
        self._thread.line = ""
        return line


_KEPT = _Kept()


class CollectorExporter(SpanExporter):
    """Hands spans to an exporter, and logs the first failure of an outage, and its end.

    Args:
        exporter: Sends the spans.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False
        self._is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that the collector does not take are lost."""
        if self._is_closed:
            return SpanExportResult.FAILURE
        _KEPT.take()
        try:
            result, reason = self._exporter.export(spans), _KEPT.take()
        except Exception as error:  # whatever the library raises: nothing of the add-on depends on it
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        if result is SpanExportResult.FAILURE and not self._is_failing:
            log.warning("tracing.not_exported", reason=shortened(without_tokens(reason), MAX_REASON), spans=len(spans))
        elif result is SpanExportResult.SUCCESS and self._is_failing:
            log.info("tracing.exported_again")
        self._is_failing = result is SpanExportResult.FAILURE
        return result

    def shutdown(self) -> None:
        """Stop, also an attempt that waits for the next one."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(Exception):
                self._exporter.shutdown()


def new_exporter() -> SpanExporter:
    """Return the exporter that the standard variables describe: ``OTEL_EXPORTER_OTLP_ENDPOINT`` and others."""
    silence()
    session = requests.Session()
    # Neither a proxy nor a password of the environment: they are for other servers.
    session.trust_env = False
    return OTLPSpanExporter(session=session)


def silence() -> None:
    """Keep what the library logs about sending, for the reason of an outage, instead of writing it."""
    for name in NOISY:
        logging.getLogger(name).addFilter(_KEPT)
