"""Version checks: exactly one version of a library is accepted, and the pins in all places are the same."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from addonkit import pinned
from addonkit.pinned import VersionMismatch, require_version

ROOT = Path(__file__).parents[2]
CALL = re.compile(r'require_version\(\s*"([a-z-]+)", "([0-9.]+)"')
FOUND = {
    "another patch": ("0.18.1", "hypercorn 0.18.1 is installed, expected 0.18.0"),
    "a later release": ("0.19.0", "hypercorn 0.19.0 is installed, expected 0.18.0"),
    "an earlier release": ("0.17.3", "hypercorn 0.17.3 is installed, expected 0.18.0"),
    "a local build": ("0.18.0+patched", r"hypercorn 0.18.0+patched is installed, expected 0.18.0"),
    "nothing": (None, "hypercorn is not installed, expected 0.18.0"),
}


@pytest.mark.parametrize("case", FOUND)
def test_version_check_refuses_every_other_version(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, result = FOUND[case]

    def version(name: str) -> str:
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(pinned.metadata, "version", version)
    with pytest.raises(VersionMismatch) as raised:
        require_version("hypercorn", "0.18.0", because="its protocol classes")
    assert str(raised.value) == (
        f"{result}, because addonkit uses its protocol classes; run 'pip install hypercorn==0.18.0', or install a "
        "release of addonkit that supports this version"
    )


def test_version_check_accepts_the_expected_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned.metadata, "version", lambda _: "0.18.0")
    require_version("hypercorn", "0.18.0", because="its protocol classes")


def test_pinned_versions_agree_in_code_project_and_lock() -> None:
    runtime = ROOT / "runtime"
    required = {call for file in (runtime / "addonkit").rglob("*.py") for call in CALL.findall(file.read_text())}
    project = tomllib.loads((runtime / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["granian"]]
    locked = (ROOT / "requirements.lock").read_text()
    assert {name for name, _ in required} >= {"hypercorn", "granian", "tortoise-orm"}
    for name, version in required:
        assert f"{name}=={version}" in declared
        assert f"\n{name}=={version} " in locked
