"""Measures which tests reach each line of a room, with the contexts of coverage.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from coverage import CoverageData
from rules import Places

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LEFT_OUT = 0.02
"""Share of the tests that may fail without a mutant. They are left out, since they would kill any mutant."""
COMPARING_MODELS = "tests/database/test_model_tables.py"
"""Tests that read each ``models.py`` without calling anything in it."""


class TestsFail(Exception):
    """The tests cannot run without a mutant, or too many of them fail."""


@dataclass(slots=True)
class Reach:
    """The tests that reach each line, by file; how long each test takes; and the modules that they import."""

    tests: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]
    modules: list[str] = field(default_factory=list)

    def of(self, path: str, line: int) -> list[str]:
        """Return the tests that reach a line, the quickest first."""
        return sorted(self.tests[path][line], key=lambda name: (self.seconds.get(name, 0.0), name))

    def names(self) -> list[str]:
        """Return all tests that reach a line, the quickest first."""
        found = set().union(*(names for lines in self.tests.values() for names in lines.values()))
        return sorted(found, key=lambda name: (self.seconds.get(name, 0.0), name))

    def without(self, failed: Collection[str], output: str) -> Reach:
        """Return the reach of the tests that pass, and name those that ``failed``.

        Raises:
            TestsFail: More than `LEFT_OUT` of the tests fail; the exception carries the ``output`` of pytest.
        """
        if not failed:
            return self
        listed = "\n".join(f"  {name}" for name in sorted(failed))
        if len(failed) > LEFT_OUT * len(self.seconds):
            share = f"{len(failed)} of {len(self.seconds)} tests fail without a mutant; at most {LEFT_OUT:.0%} may"
            raise TestsFail(f"{output}\n{share}:\n{listed}")
        print(f"left out, because they fail without a mutant:\n{listed}", flush=True)
        tests = {
            path: {line: left for line, names in lines.items() if (left := names.difference(failed))}
            for path, lines in self.tests.items()
        }
        seconds = {name: value for name, value in self.seconds.items() if name not in failed}
        return Reach({path: lines for path, lines in tests.items() if lines}, seconds, self.modules)


def measure(room: Path, tests: list[str], folder: Path) -> Reach:
    """Run the tests and return what those that pass reach of the files in ``room``.

    Raises:
        TestsFail: The tests cannot run, or too many fail.
    """
    environment = os.environ | {
        "COVERAGE_FILE": str(folder / "coverage"),
        "MUTANTS_FACTS": str(folder / "facts.json"),
        "PYTHONPATH": str(HERE),
    }
    coverage = [f"--cov={room}", "--cov-context=test", "--cov-report=", "-p", "facts"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *coverage, *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout[-3000:] + done.stderr[-1000:]
    if done.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise TestsFail(output)
    facts = json.loads((folder / "facts.json").read_text())
    data = CoverageData(str(folder / "coverage"))
    data.read()
    files = [file for file in data.measured_files() if "/migrations/" not in file]
    reached = {str(Path(file).relative_to(ROOT)): lines_of(data, file, facts["seconds"]) for file in files}
    tests_by_file = {path: lines for path, lines in sorted(reached.items()) if lines}
    return Reach(tests_by_file, facts["seconds"], facts["modules"]).without(facts["failed"], output)


def lines_of(data: CoverageData, file: str, tests: Iterable[str]) -> dict[int, set[str]]:
    """Return the tests that reach each line of a file.

    A statement is reached with one of its lines. One that runs when the module is imported can matter to every test of
    a test module that reaches the file, also to a test that only reads a constant.
    """
    contexts = {
        line: {name.rpartition("|")[0] for name in names} for line, names in data.contexts_by_lineno(file).items()
    }
    modules = {name.partition("::")[0] for names in contexts.values() for name in names if name}
    if Path(file).name == "models.py":
        modules.add(COMPARING_MODELS)
    everyone = {name for name in tests if name.partition("::")[0] in modules}
    found: dict[int, set[str]] = defaultdict(set)
    for lines, imported in Places(Path(file).read_text(encoding="utf-8")).statements():
        reached = set().union(*(contexts.get(line, set()) for line in lines))
        if reached:
            names = everyone if imported else reached - {""}
            for line in lines:
                found[line] |= names
    return {line: names for line, names in found.items() if names}
