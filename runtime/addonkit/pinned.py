"""Version checks for libraries of which addonkit uses private parts."""

from __future__ import annotations

from importlib import metadata

from addonkit.errors import AddonkitError


class VersionMismatch(AddonkitError):
    """Another version of a library is installed than the one whose private parts addonkit was written for."""


def require_version(distribution: str, expected: str, *, because: str) -> None:
    """Check that exactly one version of a library is installed; call this before its private parts are imported.

    Args:
        distribution: Its name in the package index.
        expected: The version that ``pyproject.toml`` pins.
        because: The private part of the library that addonkit uses.

    Raises:
        VersionMismatch: Another version is installed, or none.
    """
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = ""
    if found != expected:
        installed = f"{distribution} {found} is installed" if found else f"{distribution} is not installed"
        raise VersionMismatch(
            f"{installed}, expected {expected}, because addonkit uses {because}; run 'pip install "
            f"{distribution}=={expected}', or install a release of addonkit that supports this version"
        )
