"""Tries mutants, each in a process that is forked from one which has imported the libraries.

A mutant replaces a module in memory, so that no file changes and several are tried at once. Programs that a test starts
run the unchanged code.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

SPARE_S = 30.0
"""Time that a mutant gets beyond `TIMES` the time of its tests, for start, collection and a busy machine."""
TIMES = 5.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Trial:
    """One mutant: the file, its changed text, the tests that reach it, and the seconds that these take.

    The first test that fails ends the trial, unless ``all`` are to run.
    """

    path: str
    text: str
    tests: tuple[str, ...]
    seconds: float
    all: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """``killed``, ``timeout``, ``survived``, or ``error`` if the tests could not run.

    With the end of the output, and the names of the tests that failed.
    """

    verdict: str
    output: str = ""
    failed: tuple[str, ...] = ()


def preload(modules: Iterable[str]) -> None:
    """Import the libraries that tests use, once for all forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def try_all(
    trials: Sequence[Trial], folder: Path, *, processes: int, seed: int, ends_at: float
) -> Iterator[tuple[int, Outcome]]:
    """Try mutants in several processes; yield the number and the outcome of each, as they end.

    After ``ends_at``, on the monotonic clock, no further one is begun.
    """
    waiting = list(enumerate(trials))[::-1]
    running: dict[int, tuple[int, float, Path]] = {}
    try:
        while running or (waiting and time.monotonic() < ends_at):
            while waiting and len(running) < processes and time.monotonic() < ends_at:
                number, trial = waiting.pop()
                output = folder / f"output-{number}"
                limit = time.monotonic() + SPARE_S + TIMES * trial.seconds
                running[_start(trial, output, seed)] = number, limit, output
            for pid, (number, limit, output) in list(running.items()):
                outcome = _ended(pid, limit, output)
                if outcome is not None:
                    del running[pid]
                    yield number, outcome
            time.sleep(POLL_S)
    finally:
        for pid in running:
            _kill(pid)


def _start(trial: Trial, output: Path, seed: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for target in (1, 2):
            os.dup2(handle, target)
        sys.meta_path.insert(0, _Mutant(trial))
        options = [
            "-q",
            *([] if trial.all else ["-x"]),
            "--no-header",
            "--tb=line",
            "--assert=plain",
            "-p",
            "no:cacheprovider",
            f"--hypothesis-seed={seed}",
        ]
        files = dict.fromkeys(name.partition("::")[0] for name in trial.tests)
        status = pytest.main([*options, *files], plugins=[_Selection(trial.tests, _failures(output))])
        sys.stdout.flush()
    finally:
        os._exit(status)


def _ended(pid: int, limit: float, output: Path) -> Outcome | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        if time.monotonic() < limit:
            return None
        _kill(pid)
        return Outcome("timeout")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the tests have left behind
    text = output.read_text(errors="replace")[-2000:]
    failures = _failures(output)
    failed = tuple(dict.fromkeys(failures.read_text().splitlines())) if failures.exists() else ()
    output.unlink()
    failures.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    if code in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}:
        # A module that cannot be imported is a usage error if conftest.py needs it.
        return Outcome("killed" if "conftest" in text or "Error" in text else "error", text)
    return Outcome("survived" if code == 0 else "killed", text, failed)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _failures(output: Path) -> Path:
    return output.with_suffix(".failed")


class _Selection:
    """A plugin for pytest: runs the given tests only, in their order, and writes the names of those that fail."""

    def __init__(self, tests: Sequence[str], failures: Path) -> None:
        self._order, self._failures = {name: number for number, name in enumerate(tests)}, failures

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with self._failures.open("a") as file:
                print(report.nodeid, file=file)


class _Mutant:
    """A finder that loads one file's changed text, and leaves all other modules to Python."""

    def __init__(self, trial: Trial) -> None:
        self._path, self._text = Path(trial.path).resolve(), trial.text

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("addonkit."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or Path(spec.origin).resolve() != self._path:
            return None
        spec.loader = _Loader(name, spec.origin, self._text)
        spec.cached = None
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._text, self.path, "exec", dont_inherit=True)
        return code
