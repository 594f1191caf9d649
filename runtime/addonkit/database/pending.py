"""Finds pending migrations by comparing file names with the database, without importing a plugin or its models.

This runs at every start. The database is read over a separate connection, which is closed immediately.
"""

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
from addonkit.database.errors import error_summary
from addonkit.database.location import Location
from addonkit.database.sql import fetch
from addonkit.errors import SettingsInvalid, StorageUnavailable

Migration = tuple[str, str]
"""A migration: its app and its name."""
Migrations = set[Migration]

SELECT_APPLIED = "SELECT app, name FROM tortoise_migrations"
SELECT_RELEASES = "SELECT app_name, name, distribution, version FROM addonkit_applied_release"
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The migrations and grants of a database.

    Attributes:
        migrations: The applied migrations.
        releases: The release that applied each migration, such as ``addonkit-macro 1.2.0``, where it is recorded.
        missing: Descriptions of missing grants and row-level security policies, which the tables' owner must add.
    """

    migrations: Migrations = field(default_factory=set)
    releases: Mapping[Migration, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def pending(location: Location, packages: Mapping[str, Path]) -> list[str]:
    """List what a database lacks: migrations as ``app.name``, then missing grants and policies.

    Args:
        location: The database.
        packages: Directory of each installed plugin that has tables, by the plugin's name.

    Raises:
        SettingsInvalid: The database is newer than the code.
        StorageUnavailable: The database cannot be read.
    """
    code = code_migrations(packages)
    state = read_state(location)
    refuse_newer(state, code, {RUNTIME_APP, *packages})
    missing = [f"{app}.{name}" for app, name in sorted(code - state.migrations, key=migration_order)]
    return [*missing, *state.missing]


def code_migrations(packages: Mapping[str, Path]) -> Migrations:
    """Return the migrations of the installed code, the runtime's and those of the packages, by their file names."""
    directories = {RUNTIME_APP: Path(__file__).parent.parent / "tenancy", **packages}
    return {(app, name) for app, directory in directories.items() for name in _file_names(directory / "migrations")}


def _file_names(directory: Path) -> list[str]:
    # Tortoise finds migrations by the same rule.
    return [file.stem for file in directory.glob("*.py") if file.stem[0] not in "_~"] if directory.is_dir() else []


def migration_order(migration: Migration) -> tuple[bool, str, str]:
    """Return the sort key of a migration; the runtime's migrations come first."""
    return migration[0] != RUNTIME_APP, *migration


def refuse_newer(state: DatabaseState, code: Migrations, apps: Iterable[str]) -> None:
    """Refuse a database with migrations of these apps that the code does not have.

    Raises:
        SettingsInvalid: A newer release has migrated the database; the message names it if it is recorded.
    """
    unknown = sorted((app, name) for app, name in state.migrations - code if app in apps)
    if not unknown:
        return
    app, name = unknown[-1]
    release = state.releases.get((app, name))
    raise SettingsInvalid(
        f"the database was migrated by a newer release: it has the migration '{name}' of '{app}'"
        f"{f' from {release!r}' if release else ''}, which the installed release lacks; "
        f"install {'that' if release else 'the newer'} release again"
    )


def releases_by_migration(rows: Iterable[Any]) -> dict[Migration, str]:
    """Map each migration to its release, from rows of ``SELECT_RELEASES``."""
    return {(app, name): f"{distribution} {version}" for app, name, distribution, version in rows}


def read_state(location: Location) -> DatabaseState:
    """Read the state of a database; a file that does not exist has no migrations.

    Raises:
        StorageUnavailable: The database cannot be read.
    """
    if not location.is_postgres:
        return _read_file(location.path)
    # In a separate thread, because the calling thread may already run an event loop.
    with ThreadPoolExecutor(1, "database") as thread:
        return thread.submit(lambda: asyncio.run(_read_server(location))).result()


def _read_file(path: Path) -> DatabaseState:
    if not path.exists():
        return DatabaseState()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            migrations = set(_fetch(connection, SELECT_APPLIED))
            return DatabaseState(migrations, releases_by_migration(_fetch(connection, SELECT_RELEASES)))
    except sqlite3.Error as exc:
        raise StorageUnavailable(f"the database '{path}' cannot be read ({exc}); check the file") from exc


async def applied_on_server() -> Migrations:
    """Read which migrations the open database has, with one small query.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    return {(row["app"], row["name"]) for row in await fetch(SELECT_APPLIED)}


def applied_in_file(file: Path) -> Migrations:
    """Read which migrations an SQLite file has, without waiting for writers.

    Raises:
        StorageUnavailable: The file cannot be read, or has no list of migrations.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=0)) as connection:
            return set(connection.execute(SELECT_APPLIED).fetchall())
    except sqlite3.Error as exc:
        raise StorageUnavailable(f"the database '{file}' cannot be read ({exc}); check the file") from exc


def _fetch(connection: sqlite3.Connection, query: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError as exc:
        if "no such table" in str(exc):
            return []
        raise


async def _read_server(location: Location) -> DatabaseState:
    import asyncpg  # imported here, because SQLite does not need it

    from addonkit.database.pooler import STATEMENTS_LOST
    from addonkit.database.postgres_errors import PREPARED_STATEMENT_ERRORS
    from addonkit.database.row_security import missing_protection
    from addonkit.database.server_connection import connect

    try:
        connection = await connect(location.owner_url or location.url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
        try:
            if await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NULL"):
                return DatabaseState()
            migrations = {(app, name) for app, name in await connection.fetch(SELECT_APPLIED)}
            has_releases = await connection.fetchval("SELECT to_regclass('addonkit_applied_release') IS NOT NULL")
            releases = releases_by_migration(await connection.fetch(SELECT_RELEASES)) if has_releases else {}
            return DatabaseState(migrations, releases, await missing_protection(connection.fetch, location))
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except PREPARED_STATEMENT_ERRORS as exc:
        raise StorageUnavailable(f"the database '{location}' cannot be read: {STATEMENTS_LOST}") from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
        raise StorageUnavailable(
            f"the database '{location}' cannot be read ({error_summary(exc)}); check the server and the role's access"
        ) from exc
