"""Finds the npm package @forge/manifest in a ``node_modules``.

Its code runs with the rights of the user. So only folders that nobody else can change are searched, and only around the
configuration and the current folder: a manifest may be somebody else's, together with a ``node_modules`` beside it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from addonkit.errors import SettingsInvalid

PACKAGE = "@forge/manifest"
TESTED_VERSION = "13.7.0"
"""The version with which the runtime's own rules were compared."""
INSTALL = f"npm install --no-save --ignore-scripts {PACKAGE}@{TESTED_VERSION} tslib"
"""The command that installs it. It needs tslib, but does not say so to npm."""
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """The installed package.

    Attributes:
        folder: Where it is.
        version: Its version.
    """

    folder: Path
    version: str


def named_package(folder: Path) -> Package:
    """Return the package in a ``node_modules``, or in the ``node_modules`` of a folder.

    Raises:
        SettingsInvalid: It is not there.
    """
    for modules in (folder, folder / "node_modules"):
        if found := _package_in(modules):
            return found
    raise SettingsInvalid(f"'{folder}' does not contain {PACKAGE}; name the folder in which '{INSTALL}' ran")


def find_package(starts: Iterable[Path]) -> tuple[Package | None, tuple[Path, ...]]:
    """Search the folders and those above them, as Node.js does.

    Returns:
        The first package; None if there is none. And each ``node_modules`` with the package that was passed over,
        because another user of the machine could have put the code there.
    """
    passed_over: list[Path] = []
    for modules in dict.fromkeys(_node_modules(starts)):
        if not (found := _package_in(modules)):
            continue
        if all(map(_is_ours, (modules.parent, modules, found.folder.parent, found.folder))):
            return found, tuple(passed_over)
        passed_over.append(modules)
    return None, tuple(passed_over)


def foreign_folders(package: Package) -> tuple[Path, ...]:
    """Return each ``node_modules`` above the package that another user of the machine can create or change.

    Node.js would load from there what the package lacks.
    """
    places = (package.folder.absolute(), package.folder.resolve())
    own = {place.parent.parent for place in places}
    above = {folder for place in places for folder in place.parents if folder / "node_modules" not in own}
    return tuple(sorted(folder / "node_modules" for folder in above if not _keeps_others_out(folder)))


def _keeps_others_out(folder: Path) -> bool:
    modules = folder / "node_modules"
    return _is_ours(folder) and (not modules.exists() or _is_ours(modules))


def _node_modules(starts: Iterable[Path]) -> Iterator[Path]:
    for start in starts:
        absolute = start.absolute()
        for folder in (absolute, *absolute.parents):
            yield folder / "node_modules"


def _package_in(modules: Path) -> Package | None:
    folder = modules / PACKAGE
    try:
        with (folder / "package.json").open("rb") as file:
            content = orjson.loads(file.read(_MAX_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return None
    version = content.get("version") if isinstance(content, dict) else None
    return Package(folder, version if isinstance(version, str) else "of no version")


def _is_ours(path: Path) -> bool:
    """Whether only this user and root can change a folder; a sticky folder such as /tmp lets anybody add to it."""
    if not hasattr(os, "getuid"):
        return True  # Windows has no such modes
    found = path.stat()
    return found.st_uid in (0, os.getuid()) and not found.st_mode & stat.S_IWOTH
