"""Databases for tests: one for each folder, on SQLite or on PostgreSQL.

The environment variable ``ADDONKIT_TEST_DATABASE`` selects the database:

- ``sqlite`` or unset: a file in the folder.
- ``postgresql``: a database on a PostgreSQL server that this process starts.
- a ``postgres://`` URL: a database on that server; the account must be allowed to create databases and roles.

The servers are in ``postgresql``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.database.connection import AppModules
    from addonkit.database.location import Location
    from addonkit.testing.postgresql import Server

VARIABLE = "ADDONKIT_TEST_DATABASE"

_numbers = count(1)


@dataclass
class FolderDatabase:
    """The PostgreSQL database of one folder.

    Attributes:
        name: Name of the database on the server.
        server: The server.
        exists: Whether the database has been created.
        is_empty: Whether it was created without tables.
    """

    name: str
    server: Server
    exists: bool = False
    is_empty: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the table ``[database]`` of a deployment that uses this database."""
        server = self.server
        return {
            "url": server.url_of(self.name, server.application),
            "owner_url": server.url_of(self.name, server.owner),
        }

    def create(self, template: FolderDatabase | None = None) -> None:
        """Create the database, empty or as a copy of a template."""
        self.server.create(self.name, template.name if template else None)
        self.exists, self.is_empty = True, template is None


_databases: dict[Path, FolderDatabase] = {}
# Migrated databases without rows, by the plugins whose tables they have. A test gets a copy, because to migrate anew
# would take longer than the test.
_template_files: dict[tuple[str, ...], bytes] = {}
_templates: dict[tuple[str, ...], FolderDatabase] = {}


def on_postgresql() -> bool:
    """Return whether the tests run on PostgreSQL.

    Raises:
        ValueError: ``ADDONKIT_TEST_DATABASE`` has an unknown value.
    """
    value = os.environ.get(VARIABLE, "") or "sqlite"
    if value not in ("sqlite", "postgresql") and not value.startswith(("postgres://", "postgresql://")):
        raise ValueError(
            f"{VARIABLE} is neither 'sqlite' nor 'postgresql' nor the URL of a PostgreSQL server; set it to one of them"
        )
    return value != "sqlite"


def server() -> Server:
    """Return the PostgreSQL server of this process; the first call starts it, and it runs until the process ends.

    Raises:
        ServerUnavailable: No server could be started.
    """
    value = os.environ.get(VARIABLE, "")
    return _server(value if "://" in value else None)


@cache
def _server(url: str | None) -> Server:
    from addonkit.testing.postgresql import existing_server, start_server

    return existing_server(url) if url else start_server()


def database_settings(directory: Path, *, create: bool = True) -> dict[str, Any]:
    """Return the table ``[database]`` for a folder; each call with the same folder returns the same table.

    Args:
        directory: The folder; on SQLite the file is in it.
        create: Create the database, without tables, if it does not exist. If False, :func:`create_tables` creates it.
    """
    if not on_postgresql():
        return {"url": f"sqlite://{directory / 'addonkit.db'}"}
    if directory not in _databases:
        _databases[directory] = _new_database()
    database = _databases[directory]
    if create and not database.exists:
        database.create()
    return database.settings()


def database_variables(directory: Path) -> dict[str, str]:
    """Return :func:`database_settings` as environment variables, for a command that the test starts."""
    return {f"ADDONKIT_DATABASE__{key.upper()}": value for key, value in database_settings(directory).items()}


async def create_tables(location: Location, apps: Mapping[str, AppModules]) -> None:
    """Create a database with the tables of the runtime and of these plugins; keep one that has tables already.

    Args:
        location: The database.
        apps: Plugins that have tables, by name.
    """
    from addonkit.database.migrate import migrate

    database = next((one for one in _databases.values() if one.settings()["url"] == location.url), None)
    if database is not None:
        await _copy_template(database, apps)
    elif not location.is_postgres:
        await _copy_template_file(location, apps)
    else:
        await migrate(location, apps)


def run_sql(directory: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement on the database of a folder, without tenant isolation, and return its rows.

    Args:
        directory: The folder.
        statement: SQL with ``?`` for each value.
        values: The values.
    """
    if directory not in _databases:
        with closing(sqlite3.connect(directory / "addonkit.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()
    for number in range(1, len(values) + 1):
        statement = statement.replace("?", f"${number}", 1)
    database = _databases[directory]
    return database.server.fetch(database.name, statement, *values)


def copy_database(source: Path, directory: Path) -> None:
    """Copy the database of one folder to another folder that has none; nothing may be connected to the source."""
    if source in _databases:
        database = _databases.setdefault(directory, _new_database())
        if not database.exists:
            database.create(_databases[source])
    elif not (directory / "addonkit.db").exists():
        shutil.copy(source / "addonkit.db", directory / "addonkit.db")


def drop_databases(directory: Path) -> None:
    """Drop the PostgreSQL databases of a folder and its subfolders; SQLite files are deleted with the folder."""
    for one in [one for one in _databases if one.is_relative_to(directory)]:
        database = _databases.pop(one)
        if database.exists:
            database.server.drop(database.name)


async def _copy_template_file(location: Location, apps: Mapping[str, AppModules]) -> None:
    from addonkit.database.migrate import migrate

    if location.path.exists():
        return
    key = tuple(sorted(apps))
    if key not in _template_files:
        await migrate(location, apps)
        _template_files[key] = location.path.read_bytes()
    location.path.touch(0o600)
    location.path.write_bytes(_template_files[key])


async def _copy_template(database: FolderDatabase, apps: Mapping[str, AppModules]) -> None:
    from addonkit.database.location import Location
    from addonkit.database.migrate import migrate

    if database.is_empty:
        await migrate(Location(**database.settings()), apps)
        database.is_empty = False
    if database.exists:
        return
    key = tuple(sorted(apps))
    if key not in _templates:
        template = _new_database()
        template.create()
        await migrate(Location(**template.settings()), apps)
        _templates[key] = template
    database.create(_templates[key])


def _new_database() -> FolderDatabase:
    postgresql = server()
    return FolderDatabase(f"{postgresql.run}_{next(_numbers)}", postgresql)
