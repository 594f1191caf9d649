"""Spans of a trace, as the runtime records them: requests, jobs, host calls and database statements.

Nothing here needs OpenTelemetry: ``telemetry`` implements these interfaces with it, if ``[operations] tracing`` is on.
Names of spans and attributes follow OpenTelemetry's semantic conventions. Spans hold neither tokens, queries of URLs,
values of SQL statements nor messages of exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from addonkit.origin import Trace

Attributes = Mapping[str, str | int | float | bool]
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""Methods that the conventions know; any other is ``_OTHER``."""


class SpanKind(StrEnum):
    """How a span relates to others, as OpenTelemetry names it."""

    SERVER = "server"
    """A request from another program."""
    CLIENT = "client"
    """A request to another program."""
    CONSUMER = "consumer"
    """A job, which another piece of work has enqueued."""


class Span(Protocol):
    """One piece of work that is being recorded; a span that is not sampled ignores what is set."""

    @property
    def trace(self) -> Trace:
        """Its position, for what it sends to others."""

    def rename(self, name: str) -> None:
        """Replace its name by one that was not known when it began."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, kind: str, place: str = "") -> None:
        """Record that the work failed.

        Args:
            kind: A word with few different values, such as the name of an exception's class.
            place: Where it failed; never the message of an exception, which may contain anything.
        """


class Tracer(Protocol):
    """Records the spans of one add-on."""

    def span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        traceparent: str | None = None,
        is_new: bool = False,
    ) -> AbstractContextManager[Span]:
        """Record a span for a ``with`` block, and make it current there; an exception that leaves the block fails it.

        Args:
            name: Its name, with few different values.
            kind: Its relation to other spans.
            attributes: What is known when it begins, on which the sampler may decide.
            traceparent: A valid header of the span that it continues; None: the current one, if there is one.
            is_new: Whether it begins a trace if there is no ``traceparent``, whatever is current.
        """

    def current(self) -> Span | None:
        """Return the current span; None if there is none, or if it is not sampled."""

    def position(self) -> Trace | None:
        """Return the position of the current span, also if it is not sampled; None if there is none."""


def http_method(method: str) -> str:
    """Return a method as an attribute of a span."""
    return method if method in HTTP_METHODS else "_OTHER"


def failure_of(error: BaseException) -> str:
    """Return the kind of a failure: the name of the exception's class."""
    return type(error).__qualname__
