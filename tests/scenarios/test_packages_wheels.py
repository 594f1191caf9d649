"""Wheels of the workspace's packages: each builds by itself and contains all files that it needs at run time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distributions.third_party import ROOT, build, names_in

pytestmark = pytest.mark.foreign
PACKAGES = {"runtime": "addonkit", **{f"plugins/{p.name}": f"addonkit_{p.name}" for p in (ROOT / "plugins").iterdir()}}


@pytest.mark.parametrize("folder", PACKAGES)
def test_wheel_contains_exactly_the_files_of_its_package(folder: str, tmp_path: Path) -> None:
    package = ROOT / folder / PACKAGES[folder]
    contained = {name for name in names_in(build(ROOT / folder, tmp_path)) if ".dist-info/" not in name}
    expected = {
        f"{PACKAGES[folder]}/{file.relative_to(package).as_posix()}"
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert contained == expected


@pytest.mark.parametrize("folder", [folder for folder in PACKAGES if folder != "runtime"])
def test_wheel_of_a_plugin_has_its_entry_point(folder: str, tmp_path: Path) -> None:
    build(ROOT / folder, tmp_path)
    name = folder.partition("/")[2]
    assert f'{name} = "addonkit_{name}:plugin"' in (ROOT / folder / "pyproject.toml").read_text()


@pytest.mark.parametrize("kind", ["templates", "static", "migrations"])
def test_wheel_of_the_panel_contains_files_that_are_not_code(kind: str, tmp_path: Path) -> None:
    contained = names_in(build(ROOT / "plugins/issue_panel", tmp_path))
    assert any(name.startswith(f"addonkit_issue_panel/{kind}/") for name in contained)
