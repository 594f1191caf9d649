"""Records a span of each statement that a request or a job runs: its operation and table, never its text or values.

A statement's text is left out because plugins may write values into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

from addonkit.spans import SpanKind, Tracer, failure_of

SQLITE, POSTGRESQL = "sqlite", "postgresql"
"""The databases, as the conventions name them."""
BEGIN, COMMIT = "BEGIN", "COMMIT"
_OPAQUE = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \$(\w*)\$.*?\$\1\$ | \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'""",
    re.DOTALL | re.VERBOSE,
)
"""Comments and literals, which may hold values."""
_INNERMOST = re.compile(r"\([^()]*\)")
_OPERATION = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\s*([A-Za-z]{2,20})\b")
_TABLE = re.compile(r'\b(?:INTO|FROM|UPDATE|TABLE)\s+"?([A-Za-z_][A-Za-z0-9_]{0,62})\b', re.IGNORECASE)
_NOTHING: AbstractContextManager[None] = nullcontext()


def statement_span(tracer: Tracer, system: str, statement: str) -> AbstractContextManager[None]:
    """Record a span of a statement; nothing if it belongs to no request and no job, or to one that is not sampled.

    Args:
        tracer: Records it.
        system: ``SQLITE`` or ``POSTGRESQL``.
        statement: Its text, or ``BEGIN`` or ``COMMIT``.
    """
    return _NOTHING if tracer.current() is None else _recorded(tracer, system, statement)


@contextmanager
def _recorded(tracer: Tracer, system: str, statement: str) -> Iterator[None]:
    operation, table = summary_of(statement)
    summary = f"{operation} {table}" if table else operation
    attributes = {"db.system.name": system, "db.operation.name": operation, "db.query.summary": summary}
    attributes |= {"db.collection.name": table} if table else {}
    with tracer.span(summary, SpanKind.CLIENT, attributes) as span:
        try:
            yield
        except Exception as error:
            span.fail(failure_of(error))
            if code := _sql_state(error):
                span.set({"db.response.status_code": code})
            raise


@lru_cache(512)
def summary_of(statement: str) -> tuple[str, str]:
    """Return the operation and the table of a statement; the table is empty if there is none, or several.

    For example ``("SELECT", "issue_panel_item")``.
    """
    text, before = _OPAQUE.sub(" ", statement), ""
    while text != before:
        text, before = _INNERMOST.sub(" ? ", text), text
    first = _FIRST_WORD.match(text)
    operation = first[1].upper() if first else "?"
    if operation == "WITH" and (found := _OPERATION.search(text)):
        operation = found[1].upper()
    table = _TABLE.search(text)
    return operation, table[1] if table else ""


def _sql_state(error: BaseException) -> str:
    """Return PostgreSQL's code of an error, or SQLite's name of it."""
    cause: Any = error
    while cause is not None:
        code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
        if isinstance(code, str):
            return code
        cause = cause.__cause__ or cause.__context__
    return ""
