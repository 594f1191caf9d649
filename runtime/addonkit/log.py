"""structlog, without what it would load for tracebacks in colours."""

from __future__ import annotations

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # structlog.dev imports rich if it can: 4 MB and a tenth of a second at every start, for something never shown
    sys.modules["rich"] = None  # type: ignore[assignment]  # importlib's own way to say that there is none
    import structlog

    del sys.modules["rich"]
else:
    import structlog

__all__ = ["structlog"]
