"""What the database lacks, told cheaply: at every start, without Tortoise and without importing a plugin."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenancy.database import RUNTIME_APP, database_path

Steps = set[tuple[str, str]]


def pending(url: str, packages: Mapping[str, Path], directory: Path | None = None) -> list[str]:
    """Give the migrations that the database lacks, as ``app.name``, without importing or locking anything.

    Args:
        url: The database.
        packages: Directory of each installed plugin that has tables, by the plugin's name.
        directory: What a relative URL is relative to.

    Raises:
        SettingsInvalid: The database is newer than the code.
        StorageUnavailable: It cannot be read.
    """
    places = {RUNTIME_APP: Path(__file__).parent, **packages}
    present = {(app, name) for app, place in places.items() for name in _names_in(place / "migrations")}
    applied = applied_to(database_path(url, directory))
    refuse_newer(applied, present, set(places))
    return [f"{app}.{name}" for app, name in sorted(present - applied, key=_runtime_first)]


def applied_to(path: Path) -> Steps:
    """Give the migrations that a database file has; none if there is no file.

    Raises:
        StorageUnavailable: It cannot be read.
    """
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return set(connection.execute("SELECT app, name FROM tortoise_migrations"))
    except sqlite3.OperationalError as exc:
        if "no such table" in str(exc):
            return set()
        raise _unreadable(path, exc) from exc
    except sqlite3.Error as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, cause: Exception) -> StorageUnavailable:
    return StorageUnavailable(f"the database '{path}' cannot be read ({cause}); check the file")


def _names_in(place: Path) -> list[str]:
    # The rule by which Tortoise finds them.
    return [file.stem for file in place.glob("*.py") if file.stem[0] not in "_~"] if place.is_dir() else []


def refuse_newer(applied: Steps, present: Steps, apps: Iterable[str]) -> None:
    """Refuse a database that has migrations of these apps which the code lacks.

    Raises:
        SettingsInvalid: It was written by a newer release.
    """
    unknown = sorted((app, name) for app, name in applied - present if app in apps)
    if unknown:
        app, name = unknown[-1]
        raise SettingsInvalid(
            f"the database was written by a newer release: it has the migration '{name}' of '{app}', which the "
            "installed one lacks; install that release again"
        )


def _runtime_first(step: tuple[str, str]) -> tuple[bool, str, str]:
    return step[0] != RUNTIME_APP, *step
