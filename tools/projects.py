"""The ``pyproject.toml`` of every package of this repository: one version, one address, and what they depend on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "runtime" / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
VERSION_LINE = re.compile(r'(?m)^version = "([^"]+)"$')
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
ADDRESS_LINE = re.compile(r'(?m)^Homepage = "([^"]+)"$')
HOMEPAGE = 'Homepage = "…"'
ADDRESS = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)*")
RESERVED = ("example", "test", "invalid", "localhost", "example.com", "example.net", "example.org")
"""Domains that belong to nobody. Source: RFC 2606."""
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
DEVELOPMENT = {"addonkit-sandbox", "testing"}
"""Packages and extras that no deployment has."""


class ReleaseError(Exception):
    """Something that keeps the packages from being released, as one sentence."""


def version() -> str:
    """Return the version that all packages have.

    Raises:
        ReleaseError: They differ, or one has none.
    """
    return _common(VERSION_LINE, "versions", 'version = "…"', "release.py set VERSION")


def set_version(number: str) -> None:
    """Write a version into every ``pyproject.toml``.

    Raises:
        ReleaseError: It is not a version such as ``1.2.3`` or ``1.2.3rc1``.
    """
    if VERSION.fullmatch(number) is None:
        raise ReleaseError(f"'{number}' is not a version; expected three numbers such as 0.2.0, or 0.2.0rc1")
    for path in FILES:
        path.write_text(VERSION_LINE.sub(f'version = "{number}"', path.read_text(), count=1))


def address() -> str:
    """Return the address of the repository, with which all project URLs of all packages begin.

    Raises:
        ReleaseError: They differ, or one package has none.
    """
    return _common(ADDRESS_LINE, "addresses", HOMEPAGE, "release.py address URL")


def set_address(url: str) -> None:
    """Write the address of the repository into the project URLs of every ``pyproject.toml``.

    Raises:
        ReleaseError: It is not an address such as ``https://forge.example/team/addonkit``.
    """
    if ADDRESS.fullmatch(url) is None:
        raise ReleaseError(
            f"'{url}' is not the address of a repository; expected one such as https://forge.example/team/addonkit"
        )
    for path in FILES:
        former = _value(path, ADDRESS_LINE, HOMEPAGE)
        path.write_text(path.read_text().replace(f'"{former}', f'"{url}'))


def is_reserved(url: str) -> bool:
    """Whether an address is in a domain that belongs to nobody, so that its pages cannot exist."""
    host = urlsplit(url).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in RESERVED)


def supported_pythons() -> list[str]:
    """Return the versions of Python that the runtime is declared for, such as ``3.12``, by its classifiers."""
    prefix = "Programming Language :: Python :: 3."
    return [line.removeprefix(prefix[:-2]) for line in _project(FILES[0])["classifiers"] if line.startswith(prefix)]


def dependencies() -> list[str]:
    """Return what the packages of a deployment need, except for each other."""
    tables = {normalized(table["name"]): table for table in map(_project, FILES)}
    deployed = [table for name, table in tables.items() if name not in DEVELOPMENT]
    return sorted({line for table in deployed for line in table["dependencies"] if name_of(line) not in tables})


def extras() -> dict[str, list[str]]:
    """Return the dependencies of each extra with which an add-on can be deployed, by name."""
    found: dict[str, list[str]] = _project(FILES[0]).get("optional-dependencies", {})
    return {name: lines for name, lines in found.items() if name not in DEVELOPMENT}


def name_of(requirement: str) -> str:
    """Return the normalized name of the package that a requirement is about.

    Raises:
        ReleaseError: It does not begin with a name.
    """
    found = NAME.match(requirement)
    if found is None:
        raise ReleaseError(f"'{requirement}' is not a requirement; expected one such as 'quart~=0.22.0'")
    return normalized(found[0])


def normalized(name: str) -> str:
    """Return the form of a package's name in which equal names are equal texts. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _project(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return table


def _value(path: Path, pattern: re.Pattern[str], line: str) -> str:
    """Return the value that a line has in one ``pyproject.toml``."""
    found = pattern.search(path.read_text())
    if found is None:
        raise ReleaseError(f"{path.parent.name}/pyproject.toml has no line '{line}'; add one")
    return found[1]


def _common(pattern: re.Pattern[str], nouns: str, line: str, remedy: str) -> str:
    """Return the value that a line has in all packages."""
    found = {path.parent.name: _value(path, pattern, line) for path in FILES}
    if len(set(found.values())) != 1:
        listed = ", ".join(f"{name} {value}" for name, value in found.items())
        raise ReleaseError(f"the packages have different {nouns} ({listed}); run '{remedy}'")
    return found["runtime"]
