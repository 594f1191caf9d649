"""What the database lacks, told cheaply: at every start, without Tortoise and without importing a plugin."""

from collections.abc import Mapping
from pathlib import Path

from addonkit.database.applied import Steps, applied_to, refuse_newer
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.location import Location


def pending(location: Location, packages: Mapping[str, Path]) -> list[str]:
    """Give what the database lacks, without importing or locking anything: migrations, as ``app.name``, and its wall.

    Args:
        location: The database.
        packages: Directory of each installed plugin that has tables, by the plugin's name.

    Raises:
        SettingsInvalid: The database is newer than the code.
        StorageUnavailable: It cannot be read.
    """
    present = present_in(packages)
    found = applied_to(location)
    refuse_newer(found, present, {RUNTIME_APP, *packages})
    steps = [f"{app}.{name}" for app, name in sorted(present - found.steps, key=runtime_first)]
    return [*steps, *found.lacking]


def present_in(packages: Mapping[str, Path]) -> Steps:
    """Give the migrations that the code has: the runtime's and those of the packages."""
    places = {RUNTIME_APP: Path(__file__).parent.parent / "tenancy", **packages}
    return {(app, name) for app, place in places.items() for name in _names_in(place / "migrations")}


def _names_in(place: Path) -> list[str]:
    # The rule by which Tortoise finds them.
    return [file.stem for file in place.glob("*.py") if file.stem[0] not in "_~"] if place.is_dir() else []


def runtime_first(step: tuple[str, str]) -> tuple[bool, str, str]:
    """Give what steps are put in order by."""
    return step[0] != RUNTIME_APP, *step
