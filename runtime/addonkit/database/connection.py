"""An open database: from where it is and the apps that have tables to Tortoise.

Tables are made in ``migrations``; who may see which row is in ``scope``; what differs by database is in ``sqlite`` and
``postgres``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException

from addonkit.current import Runtime
from addonkit.database import CONNECTION
from addonkit.database.errors import error_summary
from addonkit.database.location import Location, check_writable, database_path, is_postgres
from addonkit.database.orm_context import ORM_VARIABLE, DatabaseContext
from addonkit.errors import StorageUnavailable

__all__ = ["AppModules", "Database", "Location", "check_writable", "database_path", "is_postgres", "tortoise_config"]

BUSY_TIMEOUT_MS = 5000
# Longer than a request may take, so that a server which went away without a word is noticed.
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class AppModules:
    """Where one app's tables are described.

    Attributes:
        models: Dotted name of the module with its models, or several names.
        migrations: Dotted name of the package with its migrations; None: it has no tables of its own to make.
        distribution: Who brings them, as it is told about a database that is newer than the code.
        version: That distribution's.
    """

    models: str | tuple[str, ...]
    migrations: str | None
    distribution: str = ""
    version: str = ""

    @property
    def modules(self) -> list[str]:
        """Dotted names of the modules with its models."""
        return [self.models] if isinstance(self.models, str) else list(self.models)


SessionSettings = Callable[[], Mapping[str, str]]
"""Gives the settings that a PostgreSQL connection gets for the current task when it is taken from the pool."""

WAL_BYTES = 16 * 1024 * 1024
CACHE_KB = 16 * 1024

RUNTIME_APP = "addonkit"
RUNTIME_MODULES = AppModules(
    ("addonkit.database.models", "addonkit.tenancy.models", "addonkit.jobs.models"), "addonkit.tenancy.migrations"
)


def tortoise_config(
    location: Location,
    apps: Mapping[str, AppModules],
    *,
    name: str = CONNECTION,
    migrating: bool = False,
    session: SessionSettings = dict,
) -> dict[str, Any]:
    """Give what Tortoise is opened with; the runtime's own app is always among the apps.

    Args:
        location: The database.
        apps: Plugins that have tables, by name.
        name: The connection's.
        migrating: Whether tables are to be made: as their owner, without a bound on time, foreign keys unchecked.
        session: Settings of a PostgreSQL connection for the current task.
    """
    everyone = {RUNTIME_APP: RUNTIME_MODULES, **apps}
    connection = _postgres(location, migrating, session) if location.is_postgres else _sqlite(location, migrating)
    return {
        "connections": {name: connection},
        # without a default connection, Tortoise takes the one called "default"
        "apps": {
            app: {"models": modules.modules} | ({"migrations": modules.migrations} if modules.migrations else {})
            for app, modules in everyone.items()
        },
    }


def _sqlite(location: Location, migrating: bool) -> dict[str, Any]:
    credentials = {
        "file_path": str(location.path),
        "busy_timeout": BUSY_TIMEOUT_MS,
        "journal_mode": "WAL",
        "synchronous": "FULL",
        # The write-ahead log keeps its room: cut short after each checkpoint, it is made longer with each commit.
        "journal_size_limit": WAL_BYTES,
        # In KiB where negative: of the indexes that a commit touches, SQLite's own 2 MB hold few.
        "cache_size": -CACHE_KB,
        # A table that SQLite cannot alter is copied and dropped; with foreign keys on, that drop deletes what refers
        # to it. Whether all refer to something is checked in the end.
        "foreign_keys": "OFF" if migrating else "ON",
    }
    return {"engine": "addonkit.database.sqlite", "credentials": credentials}


def _postgres(location: Location, migrating: bool, session: SessionSettings) -> dict[str, Any]:
    credentials = {
        "dsn": (location.owner_url or location.url) if migrating else location.url,
        "pool_size": location.pool_size,
        "command_timeout_s": None if migrating else COMMAND_TIMEOUT_S,
        "session": session,
    }
    return {"engine": "addonkit.database.postgres", "credentials": credentials}


class Database:
    """An open database; several may be open in one process.

    Use as ``async with``, which makes it current for the block and for the tasks that the block starts. :meth:`open`
    and :meth:`close` do not change what is current. It knows nothing of tenants: the two callables bind it to them, as
    :func:`addonkit.tenant_data.connection.tenant_database` does.

    Args:
        location: Where it is.
        apps: Plugins that have tables, by name.
        check_models: Checks and binds the models when they are loaded; raises to refuse them.
        session: Gives the settings of a PostgreSQL connection for the current task.
        runtime: The add-on whose database it is; by default one that has nothing else.
    """

    def __init__(
        self,
        location: Location,
        apps: Mapping[str, AppModules],
        *,
        check_models: Callable[[TortoiseContext], None],
        session: SessionSettings,
        runtime: Runtime | None = None,
    ) -> None:
        self.location = location
        self.runtime = runtime or Runtime()
        self._scope = self.runtime.scope()
        self._check_models = check_models
        self._apps, self._session = apps, session
        # a database that is not open hides one that was current before
        self.runtime.orm_variable, self.runtime.orm_context = ORM_VARIABLE, None

    async def open(self) -> None:
        """Open it.

        Raises:
            SettingsInvalid: The file cannot be written.
            StorageUnavailable: SQLite refused the file, or the server did not answer.
            PluginError: ``check_models`` refused a plugin's models.
        """
        self.location.check_usable()
        context = DatabaseContext("postgres" if self.location.is_postgres else "sqlite")
        config = tortoise_config(self.location, self._apps, name=context.connection_name, session=self._session)
        try:
            with context:
                await context.init(config=config)
                context.share_models()
                self._check_models(context)
                # Now and not at the first query: a request that is cancelled meanwhile would keep the lock.
                connection = context.connections.get(CONNECTION)
                await connection.create_connection(with_db=True)
                await connection.execute_query("SELECT 1" if self.location.is_postgres else "PRAGMA schema_version")
        except BaseException as exc:
            await context.close_connections()
            if isinstance(exc, (BaseORMException, sqlite3.Error, OSError)):
                raise StorageUnavailable(
                    f"the database '{self.location}' cannot be opened ({error_summary(exc.__cause__ or exc)}); "
                    f"check {'its server' if self.location.is_postgres else 'the file'}"
                ) from exc
            raise
        self.runtime.orm_context = context

    async def close(self) -> None:
        """Close it; what was acknowledged is on disk before."""
        context, self.runtime.orm_context = self.runtime.orm_context, None
        if context is not None:
            await context.close_connections()

    async def __aenter__(self) -> Self:
        """Open it, and make it current."""
        await self.open()
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make current what was before, and close it."""
        self._scope.__exit__(kind, error, trace)
        await self.close()
