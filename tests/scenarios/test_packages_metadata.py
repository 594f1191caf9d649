"""Metadata of the workspace's packages, read from what is published: licence, description, addresses, classifiers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from packaging.specifiers import SpecifierSet
from trove_classifiers import classifiers as known_classifiers

from tests.distributions.third_party import ROOT
from tests.support.built_package import PACKAGES, Built, source_of, wheel_of

pytestmark = pytest.mark.foreign
PYTHONS = ["3.11", "3.12", "3.13"]
RELATIVE_LINK = re.compile(r"\]\((?!https://|#)([^)]*)\)")
LABELS = ["Homepage", "Documentation", "Changelog", "Source", "Issues"]
KINDS = pytest.mark.parametrize("built", [pytest.param(wheel_of, id="wheel"), pytest.param(source_of, id="source")])
FOLDERS = pytest.mark.parametrize("folder", PACKAGES)


def urls(built: Built) -> dict[str, str]:
    """The addresses of a project, by their label."""
    return dict(line.split(", ", 1) for line in built.metadata.get_all("Project-URL", []))


def base_of(built: Built) -> str:
    """The address that all others of a project begin with."""
    return urls(built)["Homepage"]


@KINDS
@FOLDERS
def test_package_contains_the_licence(folder: str, built: Callable[[str], Built]) -> None:
    one = built(folder)
    assert one.files[one.license_name] == (ROOT / "LICENSE").read_bytes()
    assert one.metadata.get_all("License-Expression") == ["Apache-2.0"]
    assert one.metadata.get_all("License-File") == ["LICENSE"]


@KINDS
@FOLDERS
def test_package_contains_its_readme(folder: str, built: Callable[[str], Built]) -> None:
    one = built(folder)
    assert one.description == (ROOT / folder / "README.md").read_text()
    assert one.metadata["Description-Content-Type"] == "text/markdown"
    assert one.metadata["Summary"]


@FOLDERS
def test_package_readme_has_no_relative_link_since_indexes_show_it_alone(folder: str) -> None:
    assert RELATIVE_LINK.findall(wheel_of(folder).description) == []


@FOLDERS
def test_package_names_where_its_project_is(folder: str) -> None:
    found = urls(wheel_of(folder))
    base = found["Homepage"]
    assert list(found) == LABELS
    assert base == base_of(wheel_of("runtime"))
    assert re.fullmatch(r"https://[a-z0-9.-]+(/[\w.~-]+)*", base)
    assert all(url.startswith(base) for url in found.values())
    assert found["Source"].endswith(f"/{folder}")


@FOLDERS
def test_package_addresses_lead_to_files_of_the_repository(folder: str) -> None:
    paths = [url.partition("/main/")[2] for url in urls(wheel_of(folder)).values() if "/main/" in url]
    assert len(paths) == 3
    assert all((ROOT / path).exists() for path in paths)


@FOLDERS
def test_package_classifiers_are_known_and_name_no_licence_twice(folder: str) -> None:
    found = wheel_of(folder).metadata.get_all("Classifier", [])
    assert len(found) == len(set(found)) > 5
    assert set(found) <= known_classifiers
    # 'License-Expression' replaces them; package indexes refuse both together.
    assert [name for name in found if name.startswith("License ::")] == []


@FOLDERS
def test_package_classifiers_name_the_versions_of_python_that_are_tested(folder: str) -> None:
    metadata = wheel_of(folder).metadata
    named = [
        name.rpartition(" :: ")[2] for name in metadata.get_all("Classifier", []) if re.search(r":: 3\.\d+$", name)
    ]
    assert named == PYTHONS
    required = SpecifierSet(metadata["Requires-Python"])
    assert list(required.filter([f"3.{minor}" for minor in range(9, 14)])) == PYTHONS


@FOLDERS
def test_package_types_are_declared_as_they_are_shipped(folder: str) -> None:
    one = wheel_of(folder)
    assert f"{PACKAGES[folder]}/py.typed" in one.files
    assert "Typing :: Typed" in one.metadata.get_all("Classifier", [])


@FOLDERS
def test_package_metadata_are_the_same_in_wheel_and_source_distribution(folder: str) -> None:
    assert wheel_of(folder).metadata.items() == source_of(folder).metadata.items()


@FOLDERS
def test_package_source_contains_what_builds_it_again(folder: str) -> None:
    wheel, source = wheel_of(folder).files, source_of(folder).files
    code = {name for name in wheel if ".dist-info/" not in name}
    assert code <= set(source)
    assert {"pyproject.toml", "README.md", "LICENSE"} <= set(source)
