"""An add-on whose spans are kept in memory, for the tests of tracing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@dataclass
class Spans:
    """The spans that were recorded."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def all(self, **attributes: Any) -> list[ReadableSpan]:
        """The ended spans, in the order of their ends; only those with these attributes, with ``_`` for ``.``."""
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        found = self.exporter.get_finished_spans()
        return [one for one in found if wanted.items() <= dict(one.attributes or {}).items()]

    def of(self, kind: str) -> list[ReadableSpan]:
        """The ended spans of a kind: ``SERVER``, ``CLIENT`` or ``CONSUMER``."""
        return [one for one in self.exporter.get_finished_spans() if one.kind.name == kind]

    def named(self, name: str) -> ReadableSpan:
        """The only span with this name."""
        [found] = [one for one in self.exporter.get_finished_spans() if one.name == name]
        return found

    def names(self) -> list[str]:
        return [one.name for one in self.exporter.get_finished_spans()]

    def text(self) -> str:
        """Everything that would be sent."""
        return "\n".join(one.to_json() for one in self.exporter.get_finished_spans())

    def clear(self) -> None:
        self.exporter.clear()


@contextmanager
def kept_spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Have add-ons that start in the block keep their spans instead of sending them."""
    spans = Spans()
    monkeypatch.setattr("addonkit.telemetry.tracing.new_exporter", lambda: spans.exporter)
    monkeypatch.setattr("addonkit.telemetry.tracing.BatchSpanProcessor", SimpleSpanProcessor)
    yield spans


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"
