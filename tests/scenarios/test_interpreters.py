"""The interpreters with which the packages are tested: found wherever they are installed, or named as missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROBED = "#!/bin/sh\necho {version} {version}.7\n"
FAILING = "#!/bin/sh\necho 'python: command not found' >&2\nexit 127\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without interpreters, with a folder on the path."""
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def listed(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command ``list`` with nothing but the interpreters of that home."""

    def run(*versions: str, **variables: str) -> subprocess.CompletedProcess[str]:
        hidden = ("ADDONKIT_", "PYENV_", "UV_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        environment = {**inherited, "PATH": f"{home}/shims:{home}/bin", "HOME": str(home), **variables}
        command = [sys.executable, str(ROOT / "tools" / "interpreters.py"), "list", *versions]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def interpreter(path: Path, version: str, text: str = PROBED) -> Path:
    """A program that answers like an interpreter of a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("{version}", version))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "place",
    [
        "bin/python3.12",
        "shims/python3.12",
        ".pyenv/versions/3.12.1/bin/python3.12",
        ".local/share/uv/python/cpython-3.12.4-linux-x86_64-gnu/bin/python3.12",
    ],
)
def test_interpreter_is_found_where_it_is_installed(home: Path, listed: Callable[..., object], place: str) -> None:
    path = interpreter(home / place, "3.12")
    done = listed("3.12")
    assert (done.returncode, done.stdout) == (0, f"Python 3.12: found, 3.12.7 at {path}\n")


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("PYENV_ROOT", "versions/3.13.0/bin/python3.13"),
        ("UV_PYTHON_INSTALL_DIR", "cpython-3.13.2-linux-aarch64-gnu/bin/python3.13"),
        ("ADDONKIT_PYTHON_3_13", ""),
    ],
)
def test_interpreter_is_found_where_a_variable_says(
    home: Path, listed: Callable[..., object], variable: str, place: str
) -> None:
    path = interpreter(home / "elsewhere" / place if place else home / "elsewhere", "3.13")
    done = listed("3.13", **{variable: str(home / "elsewhere")})
    assert (done.returncode, done.stdout) == (0, f"Python 3.13: found, 3.13.7 at {path}\n")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (FAILING, "3.12"),
        (PROBED, "3.11"),
        ("", "3.12"),
        ("#!/nowhere\n", "3.12"),
        ("#!/bin/sh\necho 3.12\nexit 1\n", ""),
    ],
    ids=["shim of pyenv", "another version", "empty", "no program", "lacks a module"],
)
def test_interpreter_that_does_not_work_is_skipped(
    home: Path, listed: Callable[..., object], text: str, version: str
) -> None:
    interpreter(home / "shims" / "python3.12", version, text)
    path = interpreter(home / ".pyenv/versions/3.12.1/bin/python3.12", "3.12")
    assert listed("3.12").stdout == f"Python 3.12: found, 3.12.7 at {path}\n"


def test_interpreter_that_is_missing_is_named_with_its_remedy(home: Path, listed: Callable[..., object]) -> None:
    path = interpreter(home / "bin" / "python3.12", "3.12")
    done = listed()
    assert done.returncode == 0
    assert f"Python 3.12: found, 3.12.7 at {path}\n" in done.stdout
    for version in ("3.11", "3.13"):
        assert f"Python {version}: NOT FOUND, no interpreter with the modules ensurepip, " in done.stdout
        assert f"or name it in ADDONKIT_PYTHON_{version.replace('.', '_')}\n" in done.stdout


@pytest.mark.parametrize("present", [(), ("3.11",), ("3.11", "3.12"), ("3.11", "3.12", "3.13")], ids=len)
def test_interpreter_that_is_missing_is_an_error_if_all_are_required(
    home: Path, listed: Callable[..., object], present: tuple[str, ...]
) -> None:
    for version in present:
        interpreter(home / "bin" / f"python{version}", version)
    assert listed(ADDONKIT_REQUIRE_PYTHONS="1").returncode == (0 if len(present) == 3 else 1)


@pytest.mark.parametrize(
    "text", [None, "", FAILING, "#!/bin/sh\necho 3.11 3.11.2\n"], ids=["none", "empty", "shim", "old"]
)
def test_interpreter_of_a_variable_that_does_not_work_is_an_error(
    home: Path, listed: Callable[..., object], text: str | None
) -> None:
    interpreter(home / "bin" / "python3.12", "3.12")
    named = home / "named"
    if text is not None:
        interpreter(named, "", text)
    done = listed("3.12", ADDONKIT_PYTHON_3_12=str(named))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"interpreters: ADDONKIT_PYTHON_3_12 names '{named}', which is not a Python 3.12 with"
    )
