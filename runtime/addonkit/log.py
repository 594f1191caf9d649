"""structlog, imported without rich.

``structlog.dev`` imports rich if it is installed, for coloured tracebacks that addonkit never prints: a frame's
variables may hold a token. Hiding rich during that one import saves 50 ms of CPU and 4 MB in every process.
``docs/decisions/structlog-rich.md`` has the figures and the alternatives.
"""

from __future__ import annotations

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # None in sys.modules makes "import rich" raise ImportError, as documented in the language reference.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules["rich"]
else:
    import structlog

__all__ = ["structlog"]
