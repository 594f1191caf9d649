"""What a database has, asked over a connection of its own that is closed at once: without Tortoise, in any thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addonkit.database.connection import RUNTIME_APP
from addonkit.database.errors import in_a_line
from addonkit.database.location import Location
from addonkit.errors import SettingsInvalid, StorageUnavailable

Steps = set[tuple[str, str]]

APPLIED = "SELECT app, name FROM tortoise_migrations"
RELEASES = "SELECT app_name, name, distribution, version FROM addonkit_applied_release"
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a database has.

    Attributes:
        steps: Its migrations, each an app and a name.
        releases: Which release brought a migration, such as ``addonkit-macro 1.2.0``, where that is known.
        lacking: What else is to be done as the tables' owner: access and row-level security, in words.
    """

    steps: Steps = field(default_factory=set)
    releases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


def applied_to(location: Location) -> Applied:
    """Give what a database has; nothing if there is no file.

    Raises:
        StorageUnavailable: It cannot be read.
    """
    if not location.is_postgres:
        return _in_file(location.path)
    # A thread of its own, since the one that asks may have a loop running.
    with ThreadPoolExecutor(1, "database") as thread:
        return thread.submit(lambda: asyncio.run(_on_server(location))).result()


def refuse_newer(found: Applied, present: Steps, apps: Iterable[str]) -> None:
    """Refuse a database that has migrations of these apps which the code lacks.

    Raises:
        SettingsInvalid: It was written by a newer release, which is named if it left its name.
    """
    unknown = sorted((app, name) for app, name in found.steps - present if app in apps)
    if not unknown:
        return
    app, name = unknown[-1]
    release = found.releases.get((app, name))
    raise SettingsInvalid(
        f"the database was written by a newer release: it has the migration '{name}' of '{app}'"
        f"{f', brought by {release!r},' if release else ','} which the installed one lacks; "
        f"install {'that' if release else 'the newer'} release again"
    )


def releases_of(rows: Iterable[Any]) -> dict[tuple[str, str], str]:
    """Give the releases by migration, from the rows of ``RELEASES``."""
    return {(app, name): f"{distribution} {version}" for app, name, distribution, version in rows}


def _in_file(path: Path) -> Applied:
    if not path.exists():
        return Applied()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            steps = set(_rows(connection, APPLIED))
            return Applied(steps, releases_of(_rows(connection, RELEASES)))
    except sqlite3.Error as exc:
        raise StorageUnavailable(f"the database '{path}' cannot be read ({exc}); check the file") from exc


def _rows(connection: sqlite3.Connection, query: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError as exc:
        if "no such table" in str(exc):
            return []
        raise


async def _on_server(location: Location) -> Applied:
    import asyncpg  # here, for who stores in a file needs none of it

    from addonkit.database.row_security import lacking

    try:
        connection = await asyncpg.connect(
            location.owner_url or location.url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S
        )
        try:
            if await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NULL"):
                return Applied()
            steps = {(app, name) for app, name in await connection.fetch(APPLIED)}
            has_releases = await connection.fetchval("SELECT to_regclass('addonkit_applied_release') IS NOT NULL")
            releases = releases_of(await connection.fetch(RELEASES)) if has_releases else {}
            return Applied(steps, releases, await lacking(connection.fetch, location))
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
        raise StorageUnavailable(
            f"the database '{location}' cannot be read ({in_a_line(exc)}); check its server and the role's access"
        ) from exc


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
