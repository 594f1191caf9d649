"""structlog, imported without rich.

``structlog.dev`` imports rich if it is installed, for coloured tracebacks that addonkit never prints: a frame's
variables may hold a token. Hiding rich during that one import saves 50 ms of CPU and 4 MB in every process.
``docs/decisions/structlog-rich.md`` has the figures and the alternatives.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Any

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # None in sys.modules makes "import rich" raise ImportError, as documented in the language reference.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules["rich"]
else:
    import structlog

__all__ = [
    "ENDPOINT",
    "PLUGIN",
    "REQUEST_ID",
    "TENANT",
    "TRACE_ID",
    "WEBHOOK",
    "LogValues",
    "log_variable",
    "structlog",
]


def log_variable(name: str) -> ContextVar[Any]:
    """Return the context variable in which structlog keeps a value of log lines; ``...`` is the value of none.

    Code that runs for each request sets the variable, which takes a third of the time of ``bind_contextvars``.

    Args:
        name: Name of the value in log lines.
    """
    tokens = structlog.contextvars.bind_contextvars(**{name: ...})
    structlog.contextvars.reset_contextvars(**tokens)
    variable: ContextVar[Any] = tokens[name].var
    return variable


REQUEST_ID, TRACE_ID = log_variable("request_id"), log_variable("trace_id")
TENANT, PLUGIN, ENDPOINT, WEBHOOK = map(log_variable, ("tenant", "plugin", "endpoint", "webhook"))


class LogValues:
    """Sets values of log lines for a ``with`` block, and then those that were before.

    Args:
        values: Variables and their values; ``...`` reserves a variable that becomes known in the block.
    """

    __slots__ = ("_tokens", "_values")

    def __init__(self, values: Iterable[tuple[ContextVar[Any], Any]]) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._tokens = [variable.set(value) for variable, value in self._values]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for token in self._tokens:
            token.var.reset(token)
