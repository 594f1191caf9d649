"""A pytest plugin that fails a run if a test was skipped for a reason that is not on a list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest


class ExpectedSkips:
    """Compares the reasons of skipped tests with a list.

    Args:
        path: The list: one regular expression per line, which the whole reason must match; ``#`` begins a comment.

    Raises:
        pytest.UsageError: The list cannot be read, or a line is no regular expression.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.unexpected: dict[str, list[str]] = {}
        try:
            self._patterns = [*_patterns(path.read_text(encoding="utf-8").splitlines())]
        except (OSError, re.error) as error:
            raise pytest.UsageError(f"the list of expected skips '{path}' cannot be used: {error}") from None

    def note(self, node: str, reason: str) -> None:
        """Note a skipped test, or a module whose tests were not collected."""
        if not any(pattern.fullmatch(reason) for pattern in self._patterns):
            self.unexpected.setdefault(reason, []).append(node)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped; one that is expected to fail is no skip."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.note(report.nodeid, _reason(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that was skipped."""
        if report.skipped:
            self.note(report.nodeid, _reason(report))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that has passed otherwise."""
        if self.unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the tests that were skipped unexpectedly."""
        if not self.unexpected:
            return
        terminalreporter.section("unexpected skips", red=True)
        for reason, nodes in sorted(self.unexpected.items()):
            terminalreporter.line(f"{reason!r}: {len(nodes)}, such as {nodes[0]}")
        terminalreporter.line(f"install what is missing, or add the reason to '{self._path}' and say why")


def _patterns(lines: Iterable[str]) -> Iterable[re.Pattern[str]]:
    return (re.compile(line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason without pytest's prefix: a skip is reported as file, line and message."""
    found = report.longrepr
    text = found[2] if isinstance(found, tuple) else str(found)
    return text.removeprefix("Skipped: ").strip()
