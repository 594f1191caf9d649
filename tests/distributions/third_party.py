"""Plugins of third parties, built and installed from wheels, and the command line that runs with them.

The sources are the folders ``stranger-…`` beside this file. Wheels are built once per test run, without a network.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from zipfile import ZipFile

import orjson
import pytest
from addonkit.testing.databases import VARIABLE, copy_database, database_variables, on_postgresql

SOURCES = Path(__file__).parent
ROOT = SOURCES.parent.parent
ADDON = """[addon]
key = "com.example.strangers"
name = "Strangers"
base_url = "http://localhost:8000"
plugins = {plugins}
"""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command line."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error message: the only line on standard error, with exit code 1."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("addonkit: "), self.err
        return self.err.removeprefix("addonkit: ").rstrip("\n")


def build(source: Path, target: Path) -> Path:
    """Build the wheel of a project with its own build backend, without a network."""
    from hatchling.builders.wheel import WheelBuilder

    [wheel] = WheelBuilder(str(source)).build(directory=str(target), versions=["standard"])
    return Path(wheel)


def names_in(wheel: Path) -> set[str]:
    """Return the names of the files in a wheel."""
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@cache
def installed(*names: str) -> Path:
    """Return a folder in which these distributions are installed; it is created once per test run."""
    folder = Path(mkdtemp(prefix="third-party-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    wheels = [str(build(SOURCES / name, folder / "wheels")) for name in names]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(folder / "site"), *wheels], check=True)
    return folder / "site"


def third_party_plugins() -> Path:
    """Return a folder with all distributions that can be installed together."""
    return installed("stranger-notes", "stranger-bare", "stranger-marker", "stranger-clash", "stranger-faults")


def environment(site: Path | None = None, **variables: str) -> dict[str, str]:
    """Return an environment for a process: with third parties' plugins, and without add-on settings of this process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ADDONKIT_")}
    return {**inherited, "PYTHONPATH": str(site or third_party_plugins()), "PYTHONDONTWRITEBYTECODE": "1", **variables}


def stored_in(directory: Path, **variables: str) -> dict[str, str]:
    """Add variables that name the folder's database, unless given; on SQLite, the file is next to ``addon.toml``."""
    named = "ADDONKIT_DATABASE__URL" in variables or not on_postgresql()
    return variables if named else {**database_variables(directory), **variables}


def run(
    directory: Path, *words: str, site: Path | None = None, python: tuple[str, ...] = (), **variables: str
) -> CommandResult:
    """Run ``addonkit …`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "addonkit", *words],
        cwd=directory,
        env=environment(site, **stored_in(directory, **variables)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr)


def give_tables(directory: Path) -> None:
    """Copy a database with the tables of all plugins into a folder; running the migrations would take seconds."""
    copy_database(_migrated(on_postgresql()), directory)


@cache
def _migrated(_: bool) -> Path:
    folder = Path(mkdtemp(prefix="third-party-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_config(folder, "stranger_notes")
    assert run(folder, "migrate").code == 0
    return folder


def write_config(directory: Path, *plugins: str, more: str = "", **addon: Any) -> Path:
    """Write an ``addon.toml`` with these plugins, further keys of ``[addon]`` by name, and further sections as text."""
    listed = "[" + ", ".join(f'"{name}"' for name in plugins) + "]"
    lines = [f"{name} = {_toml(value)}" for name, value in addon.items() if name not in ("key", "base_url")]
    text = ADDON.format(plugins=listed)
    if "base_url" in addon:
        text = text.replace("http://localhost:8000", addon["base_url"])
    path = directory / "addon.toml"
    path.write_text(text + "\n".join(lines) + "\n" + more, encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    return orjson.dumps(value).decode()


class Terminal:
    """Runs ``addonkit …`` in this process, which is faster; plugins of third parties are imported anew each time."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], directory: Path) -> None:
        self._patch, self._capture, self.directory = patch, capture, directory
        for name in [name for name in os.environ if name.startswith("ADDONKIT_") and name != VARIABLE]:
            patch.delenv(name)
        patch.chdir(directory)
        patch.syspath_prepend(str(third_party_plugins()))

    def write(self, *plugins: str, more: str = "", **addon: Any) -> Path:
        """Write ``addon.toml``, as ``write_config`` does."""
        return write_config(self.directory, *plugins, more=more, **addon)

    def __call__(self, *words: str, **variables: str) -> CommandResult:
        """Run a command line with further environment variables."""
        from addonkit.cli import main

        for name in [name for name in sys.modules if name.startswith("stranger_")]:
            del sys.modules[name]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["addonkit", *words])
            for name, value in stored_in(self.directory, **variables).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        result = self._capture.readouterr()
        return CommandResult(int(ended.value.code or 0), result.out, result.err)
