"""Opens a database through Tortoise ORM for the runtime and for plugins that have tables.

``migrate`` creates the tables, ``tenant_data`` isolates tenants, and ``sqlite`` and ``postgres`` contain the database
clients.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException

from addonkit.current import Runtime
from addonkit.database import CONNECTION
from addonkit.database.connection_use import ConnectionUse
from addonkit.database.errors import error_summary
from addonkit.database.location import Location, check_writable, database_path, is_postgres
from addonkit.database.orm_context import ORM_VARIABLE, DatabaseContext
from addonkit.errors import StorageUnavailable

__all__ = ["AppModules", "Database", "Location", "check_writable", "database_path", "is_postgres", "tortoise_config"]

BUSY_TIMEOUT_MS = 5000
# Longer than the maximum time of a request. It detects a server that stops answering without closing the connection.
COMMAND_TIMEOUT_S = 60.0


class AppModules(NamedTuple):
    """The modules with the models and migrations of one Tortoise app: a plugin, or the runtime.

    Attributes:
        models: Dotted name of the module with its models, or several names.
        migrations: Dotted name of the package with its migrations; None if it has none.
        distribution: Name of the distribution; recorded with each migration to identify the release that applied it.
        version: Version of the distribution.
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
"""Returns the settings that a PostgreSQL connection gets for the current task when it is taken from the pool."""

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
    """Build Tortoise's configuration for a database; it always includes the runtime's own app.

    Args:
        location: The database.
        apps: Plugins that have tables, by name.
        name: Name of the connection.
        migrating: Configure for a migration: with the owner's role, without a statement timeout or foreign key checks.
        session: Returns the session settings of a PostgreSQL connection for the current task.
    """
    everyone = {RUNTIME_APP: RUNTIME_MODULES, **apps}
    connection = _postgres(location, migrating, session) if location.is_postgres else _sqlite(location, migrating)
    return {
        "connections": {name: connection},
        # The app names no default connection; Tortoise then uses the connection named "default".
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
        # Keeps the write-ahead log at this size: a log truncated at each checkpoint would grow again at each commit.
        "journal_size_limit": WAL_BYTES,
        # A negative value is in KiB. SQLite's default of 2 MB holds few of the index pages that a commit changes.
        "cache_size": -CACHE_KB,
        # A table that SQLite cannot alter is copied and dropped. With foreign keys on, the drop would delete the rows
        # that refer to it. The migration checks all foreign keys before it commits.
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
    """A database that is opened through Tortoise ORM; one process may open several.

    ``async with`` opens it and makes it current for the block and for the tasks that the block starts. :meth:`open`
    and :meth:`close` do not change which database is current. This class does not know tenants:
    :func:`addonkit.tenant_data.connection.tenant_database` passes the two callables that isolate them.

    Args:
        location: The database.
        apps: Plugins that have tables, by name.
        check_models: Called with the loaded models; checks them, sets their managers, and raises to refuse them.
        session: Returns the session settings of a PostgreSQL connection for the current task.
        runtime: The add-on that uses the database; by default a new runtime with only this database.
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
        # Until this database is open, none is current in its scope, not even the one that is current outside of it.
        self.runtime.orm_variable = ORM_VARIABLE

    async def open(self) -> None:
        """Open the database and connect to it.

        Raises:
            SettingsInvalid: The file or its folder cannot be written.
            StorageUnavailable: The file is not a database, or the server did not answer.
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
                # Connect here, not at the first query: a request cancelled while it connects would keep the lock.
                connection: Any = context.connections.get(CONNECTION)
                connection.tracer = self.runtime.tracer
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
        """Close all connections; acknowledged writes are already on disk."""
        context, self.runtime.orm_context = self.runtime.orm_context, None
        if context is not None:
            await context.close_connections()

    def connections(self) -> ConnectionUse:
        """Return how many connections this process uses; none while the database is not open."""
        context = self.runtime.orm_context
        use = getattr(context.connections.get(CONNECTION), "connection_use", None) if context is not None else None
        return ConnectionUse() if use is None else use()

    async def __aenter__(self) -> Self:
        """Open the database and make it current."""
        await self.open()
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the previous database current again and close this one."""
        self._scope.__exit__(kind, error, trace)
        await self.close()
