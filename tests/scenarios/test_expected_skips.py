"""The list of expected skips: a run fails if a test is skipped for another reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions.third_party import ROOT

PLUGIN = """
import pytest
from pathlib import Path
from tests.support.expected_skips import ExpectedSkips

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(ExpectedSkips(Path("skips.txt")))
"""
LISTED = "# what is not installed here\n\nneeds (pgbouncer|nginx)\n"


def run_tests(directory: Path, source: str, *words: str, listed: str = LISTED) -> subprocess.CompletedProcess[str]:
    """Run tests with a list of expected skips in a process of their own."""
    (directory / "conftest.py").write_text(PLUGIN)
    (directory / "skips.txt").write_text(listed)
    (directory / "test_it.py").write_text(f"import pytest\n{source}\ndef test_passes(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", 0),
        ("def test_x(): pytest.skip('needs nginx')", 0),
        ("@pytest.mark.skipif(True, reason='needs pgbouncer')\ndef test_x(): pass", 0),
        ("def test_x(): pytest.skip('needs nginx, or so')", 1),
        ("def test_x(): pytest.skip('it fails now and then')", 1),
        ("@pytest.mark.skip\ndef test_x(): pass", 1),
        ("@pytest.fixture\ndef f(): pytest.skip('late')\ndef test_x(f): pass", 1),
        ("pytest.importorskip('no_such_module')", 1),
        ("pytest.skip('the whole module', allow_module_level=True)", 1),
        ("@pytest.mark.xfail\ndef test_x(): assert 0", 0),
        ("def test_x(): assert 0", 1),
    ],
    ids=["none", "listed", "listed mark", "longer", "other", "mark", "fixture", "import", "module", "xfail", "failure"],
)
def test_skip_that_is_not_on_the_list_fails_the_run(tmp_path: Path, source: str, code: int) -> None:
    done = run_tests(tmp_path, source)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("unexpected skips" in done.stdout) == (code == 1 and "assert 0" not in source)


def test_skip_in_another_process_fails_the_run(tmp_path: Path) -> None:
    done = run_tests(tmp_path, "def test_x(): pytest.skip('it fails now and then')", "--numprocesses", "2")
    assert done.returncode == 1
    assert "'it fails now and then': 1, such as test_it.py::test_x" in done.stdout


@pytest.mark.parametrize("listed", ["needs (nginx", "*"])
def test_list_of_skips_that_is_no_regular_expression_is_refused(tmp_path: Path, listed: str) -> None:
    done = run_tests(tmp_path, "", listed=listed)
    assert done.returncode == 4
    assert "the list of expected skips 'skips.txt' cannot be used" in done.stderr


def test_full_check_uses_the_list_of_skips() -> None:
    command = ["make", "--dry-run", "--no-print-directory", "test-all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    runs = [line for line in done.stdout.splitlines() if "-m pytest" in line]
    assert len(runs) == 2
    assert all("--expected-skips tests/expected_skips.txt" in line for line in runs)
    assert "make test-all" in (ROOT / ".ci/run").read_text()
