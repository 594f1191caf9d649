"""Wheels of the workspace's packages: each builds by itself and contains all files that it needs at run time."""

from __future__ import annotations

from configparser import ConfigParser

import pytest

from tests.distributions.third_party import ROOT
from tests.support.built_package import PACKAGES, wheel_of

pytestmark = pytest.mark.foreign


@pytest.mark.parametrize("folder", PACKAGES)
def test_wheel_contains_exactly_the_files_of_its_package(folder: str) -> None:
    package = ROOT / folder / PACKAGES[folder]
    contained = {name for name in wheel_of(folder).files if ".dist-info/" not in name}
    expected = {
        f"{PACKAGES[folder]}/{file.relative_to(package).as_posix()}"
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert contained == expected


def entry_points(folder: str) -> dict[str, dict[str, str]]:
    """The entry points that a wheel declares, by group and name."""
    [text] = [data for name, data in wheel_of(folder).files.items() if name.endswith(".dist-info/entry_points.txt")]
    parser = ConfigParser(delimiters="=")
    parser.read_string(text.decode())
    return {group: dict(parser[group]) for group in parser.sections()}


@pytest.mark.parametrize("folder", [folder for folder in PACKAGES if folder != "runtime"])
def test_wheel_of_a_plugin_has_its_entry_point(folder: str) -> None:
    name = folder.partition("/")[2]
    assert entry_points(folder) == {"addonkit": {name: f"addonkit_{name}:plugin"}}


def test_wheel_of_the_runtime_has_its_command_and_its_fixtures() -> None:
    assert entry_points("runtime") == {
        "console_scripts": {"addonkit": "addonkit.cli:main"},
        "pytest11": {"addonkit": "addonkit.testing.fixtures"},
    }


@pytest.mark.parametrize("kind", ["templates", "static", "migrations"])
def test_wheel_of_the_panel_contains_files_that_are_not_code(kind: str) -> None:
    assert any(name.startswith(f"addonkit_issue_panel/{kind}/") for name in wheel_of("plugins/issue_panel").files)
