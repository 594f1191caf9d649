"""The release script: one version for all packages, and bad input refused in one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of all that the script reads."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for file in [ROOT / "runtime" / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        place = tmp_path / file.relative_to(ROOT)
        place.parent.mkdir(parents=True)
        shutil.copy(file, place)
    return tmp_path


def release(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(workspace / "tools" / "release.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_version_is_the_same_in_all_packages() -> None:
    done = release(ROOT, "check")
    assert (done.returncode, done.stderr) == (0, "")


def test_version_is_written_into_every_package(workspace: Path) -> None:
    assert release(workspace, "set", "3.4.5").stdout == "version 3.4.5\n"
    for file in workspace.glob("**/pyproject.toml"):
        assert 'version = "3.4.5"' in file.read_text()


@pytest.mark.parametrize("number", ["", "1", "1.2", "v1.2.3", "1.2.3.4", "1.2.3-beta", "1.2.3\n"])
def test_version_that_is_invalid_is_refused_and_nothing_is_written(workspace: Path, number: str) -> None:
    before = {file: file.read_text() for file in workspace.glob("**/pyproject.toml")}
    done = release(workspace, "set", number)
    assert done.returncode == 1
    assert f"release: '{number}' is not a version; expected three numbers such as 0.2.0" in done.stderr
    assert {file: file.read_text() for file in before} == before


def test_version_that_differs_between_packages_is_refused(workspace: Path) -> None:
    file = workspace / "plugins" / "macro" / "pyproject.toml"
    file.write_text(file.read_text().replace('version = "', 'version = "9'))
    done = release(workspace, "check")
    assert done.returncode == 1
    assert "release: the packages have different versions (runtime 0." in done.stderr
    assert "run 'release.py set VERSION'" in done.stderr


def test_build_refuses_a_folder_that_is_not_empty(workspace: Path) -> None:
    (workspace / "dist").mkdir()
    (workspace / "dist" / "old.whl").touch()
    done = release(workspace, "build", str(workspace / "dist"))
    assert done.returncode == 1
    assert "is not empty; delete what an earlier build left there" in done.stderr


def test_verify_refuses_a_folder_without_packages(workspace: Path) -> None:
    (workspace / "dist").mkdir()
    done = release(workspace, "verify", str(workspace / "dist"))
    assert done.returncode == 1
    assert "holds 0 wheels and 0 source distributions, expected 5 of each" in done.stderr


def test_address_is_the_same_in_all_packages(workspace: Path) -> None:
    file = workspace / "plugins" / "macro" / "pyproject.toml"
    file.write_text(file.read_text().replace('Homepage = "', 'Homepage = "https://other.example/'))
    done = release(workspace, "check")
    assert done.returncode == 1
    assert "release: the packages have different addresses (runtime https://" in done.stderr
    assert "run 'release.py address URL'" in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "https://forge.example/team/addonkit",
        "https://addonkit.dev",
        "https://git.example.org/~team/addonkit",
        "https://127-0-0-1.example/a.b/c_d",
        "https://xn--bcher-kva.example/addonkit",
    ],
)
def test_address_is_written_into_all_project_urls_of_every_package(workspace: Path, url: str) -> None:
    done = release(workspace, "address", url)
    assert (done.returncode, done.stderr) == (0, "")
    for file in workspace.glob("**/pyproject.toml"):
        urls = tomllib.loads(file.read_text())["project"]["urls"]
        assert urls["Homepage"] == url
        assert urls["Changelog"] == f"{url}/blob/main/CHANGELOG.md"
        assert all(one.startswith(url) for one in urls.values())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "forge.example/team",
        "http://forge.example/team",
        "https://forge",
        "https://forge.example/team/",
        "https://user:word@forge.example/team",
        'https://forge.example/"\nEvil = "x',
        "https://forge.example/team?x=1",
    ],
)
def test_address_that_is_invalid_is_refused_and_nothing_is_written(workspace: Path, url: str) -> None:
    before = {file: file.read_text() for file in workspace.glob("**/pyproject.toml")}
    done = release(workspace, "address", url)
    assert done.returncode == 1
    assert f"release: '{url}' is not the address of a repository; expected one such as https://" in done.stderr
    assert {file: file.read_text() for file in before} == before


@pytest.mark.parametrize(
    ("url", "reserved"),
    [
        ("https://addonkit.example", True),
        ("https://forge.addonkit.example/team", True),
        ("https://example.com/team", True),
        ("https://www.example.org", True),
        ("https://addonkit.test", True),
        ("https://myexample.com", False),
        ("https://addonkit.dev/example", False),
        ("https://example.addonkit.dev", False),
    ],
)
def test_address_in_a_reserved_domain_is_recognised(url: str, reserved: bool) -> None:
    code = f"from projects import is_reserved; print(is_reserved({url!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True, check=True)
    assert done.stdout == f"{reserved}\n"
