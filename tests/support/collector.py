"""A collector of spans that speaks OTLP over HTTP, as OpenTelemetry's own does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What it has received.

    Attributes:
        url: The value of ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        headers: The headers of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: list[dict[str, str]] = []
        self._requests: list[Any] = []

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self._requests.append(ExportTraceServiceRequest.FromString(body))

    def spans(self) -> list[Any]:
        """All spans."""
        groups = [group for request in self._requests for group in request.resource_spans]
        return [span for group in groups for scope in group.scope_spans for span in scope.spans]

    def by_process(self) -> dict[str, list[str]]:
        """The names of the spans of each process, by its ``service.instance.id``."""
        found: dict[str, list[str]] = {}
        for request in self._requests:
            for group in request.resource_spans:
                values = {one.key: one.value.string_value for one in group.resource.attributes}
                names = [span.name for scope in group.scope_spans for span in scope.spans]
                found.setdefault(values["service.instance.id"], []).extend(names)
        return found


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """Run a collector that answers with a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.receive(self.path, dict(self.headers), self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            if status == 301:
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()
