"""structlog, imported without rich.

``structlog.dev`` imports rich if it is installed, for coloured tracebacks that addonkit never prints: a frame's
variables may hold a token. Hiding rich during that one import saves 50 ms of CPU and 4 MB in every process.
``docs/decisions/structlog-rich.md`` has the figures and the alternatives.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
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

__all__ = ["ENDPOINT", "PLUGIN", "REQUEST_ID", "TENANT", "TRACE_ID", "WEBHOOK", "log_variable", "structlog"]


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
