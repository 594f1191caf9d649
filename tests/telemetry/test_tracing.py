"""Tracing as an operator meets it: off by default, its settings, and what happens while there is no collector."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import structlog
from addonkit.errors import SettingsInvalid
from addonkit.observers import current_tracer
from addonkit.spans import SpanKind
from addonkit.telemetry import export
from addonkit.telemetry.export import CollectorExporter
from addonkit.telemetry.tracing import Tracing
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.support.calling_plugin import calling_addon
from tests.support.collector import collecting

ON = {"tracing": True}
NOBODY = "http://127.0.0.1:1"
IMPORTED = """
import asyncio, sys
from pathlib import Path
from tests.support.calling_plugin import calling_addon

async def main():
    async with calling_addon(Path(sys.argv[1])) as running:
        await running.host.settled()
    print(sorted(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))

asyncio.run(main())
"""
WITHOUT_PACKAGE = """
import sys
sys.modules[sys.argv[2]] = None

from pathlib import Path
from addonkit import SettingsInvalid
from addonkit.app import create_addon

addon = {"key": "kit", "name": "Kit", "base_url": "http://localhost:8000", "plugins": ["licensing"]}
try:
    create_addon({"addon": addon, "operations": {"tracing": True}}, Path(sys.argv[1]))
except SettingsInvalid as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def _environment_without_collector(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


@contextmanager
def captured():
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_tracing_that_is_off_imports_nothing(tmp_path):
    command = [sys.executable, "-W", "error", "-c", IMPORTED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


async def test_tracing_is_off_by_default_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    async with calling_addon(tmp_path) as running:
        assert running.addon.runtime.tracer is None
        with running.addon.scope():
            assert current_tracer() is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_EXPORTER", " None "),
    ],
    ids=["disabled", "capitals", "none", "spaces"],
)
async def test_tracing_is_switched_off_by_the_environment(tmp_path, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    async with calling_addon(tmp_path, operations=ON) as running:
        assert running.addon.runtime.tracer is None


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("OTEL_TRACES_EXPORTER", "console", "set it to 'otlp'"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin", "set it to 'otlp'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector", "http://127.0.0.1:4318"),
    ],
    ids=["console", "two", "grpc", "json", "no scheme", "other scheme"],
)
async def test_tracing_refuses_an_environment_that_it_cannot_follow(tmp_path, monkeypatch, variable, value, advice):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=variable) as raised:
        Tracing("kit")
    assert advice in str(raised.value)


@pytest.mark.parametrize("package", ["opentelemetry", "opentelemetry.sdk.trace", "requests"])
def test_tracing_without_its_packages_names_the_extra(tmp_path, package):
    command = [sys.executable, "-W", "error", "-c", WITHOUT_PACKAGE, str(tmp_path), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == (
        f"[operations] tracing is on, but the package '{package}' is not installed; install 'addonkit[otel]'\n"
    ), done.stderr
    assert not list(tmp_path.iterdir())


class Failing(SpanExporter):
    """Fails in one of several ways, until "works" is set."""

    def __init__(self, way):
        self.way, self.calls = way, 0
        self.hangs = threading.Event()

    def export(self, spans):
        self.calls += 1
        if self.way == "works":
            return SpanExportResult.SUCCESS
        if self.way == "hangs":
            self.hangs.wait(20)
            return SpanExportResult.FAILURE
        if self.way == "raises":
            raise RuntimeError("a fault of the library, with a token eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzIn0.c2lnbmF0dXJl")
        if self.way == "logs":
            logging.getLogger(export.NOISY[0]).error("Failed to export %s: %s", "spans", "401 Unauthorized")
        return SpanExportResult.FAILURE

    def shutdown(self):
        self.hangs.set()


@pytest.mark.parametrize("way", ["fails", "raises", "logs"])
def test_exporter_logs_an_outage_once_and_without_a_traceback(way, capfd, monkeypatch):
    monkeypatch.setattr("addonkit.telemetry.tracing.new_exporter", lambda: None)
    export.silence()
    inner = Failing(way)
    exporter = CollectorExporter(inner)
    with captured() as lines:
        for _ in range(3):
            exporter.export(["span"])
        inner.way = "works"
        exporter.export(["span"])
        exporter.export(["span"])
        inner.way = way
        exporter.export(["span"])
    assert [line["event"] for line in lines] == [
        "tracing.not_exported",
        "tracing.exported_again",
        "tracing.not_exported",
    ]
    reason = {"fails": "", "raises": "RuntimeError", "logs": "Failed to export spans: 401 Unauthorized"}[way]
    assert lines[0]["reason"] == reason
    assert "Traceback" not in capfd.readouterr().err


async def test_unreachable_collector_neither_slows_nor_breaks_the_addon(tmp_path, capfd):
    async with calling_addon(tmp_path, operations=ON) as running:
        running.rest.answer("GET", "/rest/api/3/myself", {"accountId": "me"})
        for number in range(5):
            [answer] = await running.host.fire("jira:issue_updated", identifier=f"d-{number}", issue={"id": "1"})
            assert answer.status_code == 204
        await running.host.settled()
    written = "".join(capfd.readouterr())
    assert written.count("tracing.not_exported") == 1
    assert "Traceback" not in written


async def test_end_waits_for_a_hanging_collector_no_longer_than_it_may(monkeypatch):
    inner = Failing("hangs")
    monkeypatch.setattr("addonkit.telemetry.tracing.new_exporter", lambda: inner)
    tracing = Tracing("kit")
    tracing.start()
    with tracing.tracer.span("one", SpanKind.SERVER, {}):
        pass
    with captured() as lines:
        async with asyncio.timeout(10):
            await tracing.stop(0.05)
    assert [line["event"] for line in lines] == ["tracing.not_flushed"]
    assert inner.hangs.is_set()


async def test_tracing_can_be_started_again(monkeypatch):
    inner = Failing("works")
    monkeypatch.setattr("addonkit.telemetry.tracing.new_exporter", lambda: inner)
    tracing = Tracing("kit")
    for count in (1, 2):
        tracing.start()
        with tracing.tracer.span("one", SpanKind.SERVER, {}):
            pass
        await tracing.stop()
        assert inner.calls == count
    with tracing.tracer.span("nowhere", SpanKind.SERVER, {}):
        pass
    await tracing.stop()
    assert inner.calls == 2


async def test_span_outside_of_a_running_addon_is_not_recorded():
    tracer = Tracing("kit").tracer
    with tracer.span("one", SpanKind.SERVER, {}) as span:
        span.rename("two")
        span.set({"a": 1})
        span.fail("kind")
    assert tracer.current() is None


async def test_collector_receives_the_spans_by_http(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=abc")
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with calling_addon(tmp_path, operations=ON) as running:
            running.rest.answer("GET", "/rest/api/3/myself", {"accountId": "me"})
            await running.host.fire("jira:issue_updated", identifier="d-1", issue={"id": "1"})
            await running.host.settled()
        names = [span.name for span in collector.spans()]
    assert {"POST /webhooks/caller/updated", "process caller.updated", "GET /rest/api/3/myself"} <= set(names)
    assert collector.headers[0]["x-api-key"] == "abc"


@pytest.mark.parametrize("status", [200, 401, 500, 301], ids=["200", "401", "500", "redirect"])
async def test_collector_that_refuses_the_spans_is_named_once(tmp_path, monkeypatch, capfd, status):
    with collecting(status) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with calling_addon(tmp_path, operations=ON) as running:
            await running.host.request("GET", "/nothing")
    found = [line for line in "".join(capfd.readouterr()).splitlines() if "tracing.not_exported" in line]
    assert len(found) == (0 if status in (200, 301) else 1)
    assert all(f"code: {status}" in line for line in found)
    assert len(collector.headers) == 1
