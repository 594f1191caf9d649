"""Which database a test uses: SQLite, or PostgreSQL where ``ADDONKIT_TEST_DATABASE`` says so.

It says ``sqlite`` or nothing, ``postgresql`` for a server that is started for this run, or the ``postgres://…`` URL of
a server that is there, with an account that may make databases and roles. Every folder that a test works in gets a
database of its own.
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
class Place:
    """A folder's database on the PostgreSQL server.

    Attributes:
        name: What it is called there.
        server: Where it is.
        exists: Whether it has been made.
        is_bare: Whether it was made here without tables.
    """

    name: str
    server: Server
    exists: bool = False
    is_bare: bool = False

    def settings(self) -> dict[str, Any]:
        """The table ``[database]`` of a deployment that stores in it."""
        server = self.server
        return {
            "url": server.url_of(self.name, server.application),
            "owner_url": server.url_of(self.name, server.owner),
        }


_places: dict[Path, Place] = {}
# An empty database by the plugins whose tables it has: migrating anew for each test would take longer than the test.
_files: dict[tuple[str, ...], bytes] = {}
_templates: dict[tuple[str, ...], Place] = {}


def on_postgresql() -> bool:
    """Whether tests run on PostgreSQL.

    Raises:
        ValueError: The variable says something else than it may.
    """
    said = os.environ.get(VARIABLE, "") or "sqlite"
    if said not in ("sqlite", "postgresql") and not said.startswith(("postgres://", "postgresql://")):
        raise ValueError(
            f"{VARIABLE} is neither 'sqlite' nor 'postgresql' nor a PostgreSQL server's URL; say one of them"
        )
    return said != "sqlite"


def server() -> Server:
    """The PostgreSQL server of this process, there from the first call to the process's end.

    Raises:
        NoServer: None could be started.
    """
    said = os.environ.get(VARIABLE, "")
    return _server(said if "://" in said else None)


@cache
def _server(url: str | None) -> Server:
    from addonkit.testing.postgresql import given, started

    return given(url) if url else started()


def database_settings(directory: Path) -> dict[str, Any]:
    """The table ``[database]`` for a test in this folder: of a database without tables, the same at each call.

    Args:
        directory: The folder; on SQLite the file lies in it.
    """
    settings = named_settings(directory)
    place = _places.get(directory)
    if place is not None and not place.exists:
        _make(place)
    return settings


def named_settings(directory: Path) -> dict[str, Any]:
    """The same table, of a database that may not be there yet: :func:`give_tables` makes it."""
    if not on_postgresql():
        return {"url": f"sqlite://{directory / 'addonkit.db'}"}
    if directory not in _places:
        _places[directory] = _new_place()
    return _places[directory].settings()


def database_variables(directory: Path) -> dict[str, str]:
    """What :func:`database_settings` says, as variables of the environment for a command that is run."""
    return {f"ADDONKIT_DATABASE__{key.upper()}": value for key, value in database_settings(directory).items()}


async def give_tables(location: Location, apps: Mapping[str, AppModules]) -> None:
    """Make a database with the tables of these apps, unless there is one with tables already.

    Args:
        location: The database.
        apps: Every plugin that has tables.
    """
    from addonkit.database.migrate import migrate

    place = next((one for one in _places.values() if one.settings()["url"] == location.url), None)
    if place is not None:
        await _copy_database(place, apps)
    elif not location.is_postgres:
        await _copy_file(location, apps)
    else:
        await migrate(location, apps)


def ask(directory: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement on a folder's database and give its rows, by a connection that sees all sites.

    Args:
        directory: The folder.
        query: With ``?`` for each value.
        values: The values.
    """
    if directory not in _places:
        with closing(sqlite3.connect(directory / "addonkit.db")) as connection, connection:
            return connection.execute(query, values).fetchall()
    for number in range(1, len(values) + 1):
        query = query.replace("?", f"${number}", 1)
    place = _places[directory]
    return place.server.fetch(place.name, query, *values)


def copy(source: Path, directory: Path) -> None:
    """Give a folder that has no database a copy of another's, to which nobody is connected."""
    if source in _places:
        place = _places.setdefault(directory, _new_place())
        if not place.exists:
            _make(place, _places[source])
    elif not (directory / "addonkit.db").exists():
        shutil.copy(source / "addonkit.db", directory / "addonkit.db")


def release(directory: Path) -> None:
    """Drop the databases of a folder and of those in it; files are left to who made the folder."""
    for one in [one for one in _places if one.is_relative_to(directory)]:
        place = _places.pop(one)
        if place.exists:
            place.server.drop(place.name)


async def _copy_file(location: Location, apps: Mapping[str, AppModules]) -> None:
    from addonkit.database.migrate import migrate

    if location.path.exists():
        return
    key = tuple(sorted(apps))
    if key not in _files:
        await migrate(location, apps)
        _files[key] = location.path.read_bytes()
    location.path.write_bytes(_files[key])


async def _copy_database(place: Place, apps: Mapping[str, AppModules]) -> None:
    from addonkit.database.location import Location
    from addonkit.database.migrate import migrate

    if place.is_bare:
        await migrate(Location(**place.settings()), apps)
        place.is_bare = False
    if place.exists:
        return
    key = tuple(sorted(apps))
    if key not in _templates:
        template = _new_place()
        _make(template)
        await migrate(Location(**template.settings()), apps)
        _templates[key] = template
    _make(place, _templates[key])


def _new_place() -> Place:
    there = server()
    return Place(f"{there.run}_{next(_numbers)}", there)


def _make(place: Place, template: Place | None = None) -> None:
    place.server.create(place.name, template.name if template else None)
    place.exists, place.is_bare = True, template is None
