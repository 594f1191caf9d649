"""A plugin for pytest that writes how long each test took, which failed, and which modules of others were imported."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

# Hypothesis must be imported by its plugin for pytest.
OURS = ("addonkit", "tests", "conftest", "facts", "hypothesis")
_seconds: dict[str, float] = defaultdict(float)
_failed: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up set-up, call and tear-down, and note a failure of any."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the file that MUTANTS_FACTS names."""
    # In the order of import, and without "_asyncio" and the like, which "asyncio" must import.
    modules = [name for name in sys.modules if not name.startswith((*OURS, "_"))]
    facts = {"seconds": _seconds, "failed": sorted(_failed), "modules": modules}
    Path(os.environ["MUTANTS_FACTS"]).write_text(json.dumps(facts))
