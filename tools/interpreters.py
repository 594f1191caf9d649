"""Tests the packages with each version of Python that they are declared for.

``python tools/interpreters.py list`` prints the interpreter of each version; ``test`` tests with all of them, or with
those that are named. With each, the example add-on is served from an environment that has only what
``deploy/runtime.lock`` installs, with warnings as errors. Then a part of the tests runs in ``.venv-VERSION``, but not
with the version of ``.venv``, with which ``make test-all`` runs all tests.

An interpreter is found on the path, among those of pyenv and uv, or by a variable such as ``ADDONKIT_PYTHON_3_12``. If
root runs this, Debian's package is installed where there is one. Versions without an interpreter are named at the end;
with ``ADDONKIT_REQUIRE_PYTHONS`` they are an error.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installed_example import DEPLOYED, run, run_example
from projects import DEVELOPMENT, FILES, ROOT, ReleaseError, supported_pythons

PACKAGES = [str(file.parent) for file in FILES]
MODULES = "ensurepip, sqlite3, ssl and venv"
PROBE = (
    "import ensurepip, sqlite3, ssl, sys, venv; print('%d.%d %d.%d.%d' % (sys.version_info[:2] + sys.version_info[:3]))"
)
INSTALL = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
LOCKED = ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={ROOT}/deploy/runtime.lock"]
DEPLOYMENT = {"ADDONKIT_ADDON__PLUGINS": DEPLOYED, "PYTHONWARNINGS": "error"}
# Half of the time goes into tests that start many processes and depend little on the version.
SLOW = ["scenarios", "cli", "server/test_faulty_plugins.py", "database/test_migration_faults.py", "test_language.py"]
PART = ["tests", "runtime", "plugins", *(f"--ignore=tests/{name}" for name in SLOW)]
MARKS = "not browser and not crash and not foreign and not forge"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A version such as ``3.12``, its release such as ``3.12.1``, and the path of the interpreter."""

    version: str
    release: str
    path: str


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = argparse.ArgumentParser(description="Test the packages with each version of Python.")
    parser.add_argument("command", choices=["list", "test"])
    parser.add_argument("versions", nargs="*", help="such as 3.12; all that the packages are declared for by default")
    parser.add_argument("--pytest", default="", help="arguments for pytest that replace the part of the tests")
    chosen = parser.parse_args(arguments)
    try:
        found = {version: find(version) for version in chosen.versions or supported_pythons()}
        if chosen.command == "test":
            found = {version: one or install(version) for version, one in found.items()}
            test_with([one for one in found.values() if one], shlex.split(chosen.pytest) or PART)
    except ReleaseError as error:
        print(f"interpreters: {error}", file=sys.stderr)
        return 1
    report(found, "TESTED" if chosen.command == "test" else "FOUND")
    return 1 if os.environ.get("ADDONKIT_REQUIRE_PYTHONS") and not all(found.values()) else 0


def report(found: dict[str, Interpreter | None], done: str) -> None:
    """Print a line for each version: its interpreter, or that it has none."""
    for version, one in found.items():
        if one:
            print(f"Python {version}: {done.lower()}, {one.release} at {one.path}")
        else:
            print(
                f"Python {version}: NOT {done}, no interpreter with the modules {MODULES}; install one with apt, pyenv "
                f"or uv, or name it in {_variable(version)}"
            )


def find(version: str) -> Interpreter | None:
    """Return the first interpreter of a version that works.

    Raises:
        ReleaseError: The one that a variable names does not.
    """
    named = os.environ.get(_variable(version))
    for path in [named] if named else _candidates(version):
        if one := _probe(version, path):
            return one
    if named:
        raise ReleaseError(
            f"{_variable(version)} names '{named}', which is not a Python {version} with the modules {MODULES}"
        )
    return None


def _variable(version: str) -> str:
    return f"ADDONKIT_PYTHON_{version.replace('.', '_')}"


def _candidates(version: str) -> Iterator[str]:
    """Yield where an interpreter of a version may be: on the path, where shims may fail, and in pyenv and uv."""
    name = f"python{version}"
    for folder in os.get_exec_path():
        if (Path(folder) / name).is_file():
            yield str(Path(folder) / name)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local" / "share" / "uv" / "python")
    for path in sorted([*pyenv.glob(f"versions/{version}.*/bin/{name}"), *uv.glob(f"cpython-{version}.*/bin/{name}")]):
        yield str(path)


def _probe(version: str, path: str) -> Interpreter | None:
    """Return an interpreter if it works, is of the version, and has what an environment and the runtime need."""
    try:
        done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, _, release = done.stdout.strip().partition(" ")
    return Interpreter(version, release, path) if done.returncode == 0 and found == version else None


def install(version: str) -> Interpreter | None:
    """Install Debian's package of a version, if root runs this and there is one."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    packages = [f"python{version}", f"python{version}-venv"]
    for words in (["update"], ["install", "-y", *packages]):
        done = subprocess.run(["apt-get", "-qq", *words], capture_output=True, text=True, check=False)
    print(f"Python {version}: apt-get has {'' if done.returncode == 0 else 'not '}installed {' and '.join(packages)}")
    return find(version)


def test_with(interpreters: list[Interpreter], arguments: list[str]) -> None:
    """Test with interpreters, one after another.

    Raises:
        ReleaseError: A test failed with one of them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheels = _wheels(folder / "wheels")
        for one in interpreters:
            _say(one, "the example add-on, installed from deploy/runtime.lock")
            installs = [LOCKED, ["--no-deps", "--no-index", *wheels]]
            run_example(one.path, folder / one.version, installs, DEPLOYMENT)
            if one.version != ".".join(map(str, sys.version_info[:2])):
                _run_tests(one, arguments)


def _wheels(folder: Path) -> list[str]:
    """Build the wheels of a deployment."""
    deployed = [path for path in PACKAGES if f"addonkit-{Path(path).name}" not in DEVELOPMENT]
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "-w",
        str(folder),
        *deployed,
    )
    return [str(wheel) for wheel in folder.iterdir()]


def _run_tests(one: Interpreter, arguments: list[str]) -> None:
    """Run tests in the environment of an interpreter, on SQLite."""
    python = _environment(one)
    # Tests start many processes, which do not cache the bytecode of what they import.
    run(python, "-m", "compileall", "-q", *PACKAGES)
    _say(one, "a part of the tests" if arguments == PART else " ".join(arguments))
    command = [python, "-m", "pytest", "-q", "--numprocesses=3", "--dist=loadfile", "-m", MARKS, *arguments]
    variables = {**os.environ, "ADDONKIT_TEST_DATABASE": "sqlite", "PYTHONDONTWRITEBYTECODE": ""}
    if subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode != 0:
        raise ReleaseError(f"the tests failed with Python {one.release}")


def _environment(one: Interpreter) -> str:
    """Create ``.venv-VERSION`` with the locked packages, unless it is up to date; return its interpreter."""
    folder = ROOT / f".venv-{one.version}"
    python, ready = str(folder / "bin" / "python"), folder / "ready"
    state = "\n".join([one.release, one.path, *(file.read_text() for file in [ROOT / "requirements.lock", *FILES])])
    if not ready.exists() or ready.read_text() != state:
        _say(one, f"installing the locked packages into {folder.name}")
        editable = [word for path in PACKAGES for word in ("--editable", path)]
        run(one.path, "-m", "venv", "--clear", str(folder))
        run(python, *INSTALL, "--require-hashes", f"--requirement={ROOT}/requirements.lock")
        run(python, *INSTALL, "--no-index", "--no-build-isolation", *editable)
        ready.write_text(state)
    return python


def _say(one: Interpreter, what: str) -> None:
    print(f"Python {one.release}: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
